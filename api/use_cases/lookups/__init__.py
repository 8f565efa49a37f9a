"""What assistants look up in addition to the routes of the API: what a text names, and if a balance is right."""
