"""Emails as reports about them see them: their tokens, the providers that send them, and why they bounce."""
