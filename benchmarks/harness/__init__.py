"""Stack, load, data and report of a benchmark run."""
