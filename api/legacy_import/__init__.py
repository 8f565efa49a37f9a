"""Import from the counter-based legacy system: assess its codes one by one, report, and import them on request."""
