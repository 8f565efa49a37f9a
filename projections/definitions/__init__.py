"""The projections: each one's table, key, columns, and how events become its rows."""
