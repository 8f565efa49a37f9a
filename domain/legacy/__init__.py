"""What the legacy system left behind, and what counts as evidence."""
