"""Whose uses a limit counts as those of one person."""
