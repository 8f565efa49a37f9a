"""Merkle log, signed checkpoints and receipts."""
