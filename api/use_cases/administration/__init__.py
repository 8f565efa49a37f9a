"""What administrators do: batches, channels, webhooks, staff accounts, API keys."""
