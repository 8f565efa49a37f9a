"""How uvicorn writes responses, and how many of them are streams."""
