"""Settings that every process shares."""
