"""The legacy system's tables, read and never written."""
