"""Queries over codes, reservations, statements, the event feed and the dashboard."""
