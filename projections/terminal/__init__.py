"""Text and tables on terminals."""
