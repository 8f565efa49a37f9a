"""Encryption and digests of codes, email addresses and free text."""
