"""How uvicorn writes the responses."""
