"""Commands about codes and reservations."""
