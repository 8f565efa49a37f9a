"""Moving in from the counter-based system: weigh its codes one by one, report, and take them over on demand."""
