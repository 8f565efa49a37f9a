"""Folding the whole log with bounded memory, in one or several processes."""
