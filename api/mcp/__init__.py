"""Read-only tools for assistants, by the Model Context Protocol: over HTTP at `/mcp`, and over stdio."""
