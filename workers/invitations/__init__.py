"""Claim, send and record invitations; what follows from events."""
