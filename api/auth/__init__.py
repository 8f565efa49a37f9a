"""Scopes of API keys, and cookies of staff sessions."""
