"""The old system's tables, read and never written."""
