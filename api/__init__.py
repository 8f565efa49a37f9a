"""The HTTP side, the CLI, and the composition root."""
