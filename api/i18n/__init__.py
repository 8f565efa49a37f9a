"""Message catalogs, and sentences about events."""
