"""Value objects: codes, email addresses, group names, link tokens."""
