"""What support staff do, each with a preview and a reason."""
