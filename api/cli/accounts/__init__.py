"""Commands about staff, API keys, keyrings and personal data."""
