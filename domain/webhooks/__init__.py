"""Rules of webhooks: signatures, target URLs, retry schedule."""
