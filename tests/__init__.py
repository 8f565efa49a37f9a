"""Tests, and what they share. A package of its own: a library that the tests use installs one of this name."""
