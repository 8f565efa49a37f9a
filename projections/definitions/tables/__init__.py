"""One module for each projection."""
