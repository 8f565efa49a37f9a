"""The demo's mail server and its Maildir."""
