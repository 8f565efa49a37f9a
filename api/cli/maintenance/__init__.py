"""Commands that rebuild, verify, prove, transfer and import."""
