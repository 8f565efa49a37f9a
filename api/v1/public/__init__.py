"""Routes without an API key."""
