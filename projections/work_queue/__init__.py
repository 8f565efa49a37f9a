"""What workers take from the database: due reservations, due access, the outbox of notices; and what is pruned."""
