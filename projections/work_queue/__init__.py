"""What workers lease from the database: due reservations, due access, the outbox of notices.

And deletion of old rows.
"""
