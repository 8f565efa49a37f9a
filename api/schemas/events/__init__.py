"""What readers of events and webhook messages get: JSON Schemas, and the AsyncAPI document."""
