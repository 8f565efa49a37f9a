"""The SMTP channel."""
