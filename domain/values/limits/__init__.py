"""Limits of uses: what is said about how far they are filled."""
