"""Erasure and export of a person's data, and rotation of the keys that protect it."""
