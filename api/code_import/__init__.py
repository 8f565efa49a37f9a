"""Codes, and lists of recipients, that come in from files: each record that is refused with its line and reason."""
