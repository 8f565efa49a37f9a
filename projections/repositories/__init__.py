"""Mutable tables next to the log: staff, API keys, groups, batches, webhooks."""
