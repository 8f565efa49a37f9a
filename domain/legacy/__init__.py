"""Records of the legacy system, and what counts as evidence in them."""
