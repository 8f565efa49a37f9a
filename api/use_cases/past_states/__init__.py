"""What was, and what would have been, at past times of a code."""
