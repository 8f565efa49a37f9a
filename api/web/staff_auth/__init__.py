"""Sign-in, sessions, and what staff pages share."""
