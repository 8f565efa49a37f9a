"""HTTP requests with pinned addresses and a deadline."""
