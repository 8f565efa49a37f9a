"""Routes below /api/v1/codes."""
