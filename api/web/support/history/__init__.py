"""Views of a code's history: its balance in time, two times compared, what if, and filters."""
