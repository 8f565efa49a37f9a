"""Request and response models, and their formats."""
