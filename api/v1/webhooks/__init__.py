"""Routes about webhooks and channels of groups."""
