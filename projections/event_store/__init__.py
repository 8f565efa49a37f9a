"""The write side: recorder, codec, unit of work, snapshots and side tables."""
