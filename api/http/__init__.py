"""ASGI and FastAPI plumbing: middleware, problems, validation, paging, OpenAPI."""
