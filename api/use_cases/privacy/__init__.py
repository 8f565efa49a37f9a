"""What is done with the data of one person: export and erasure."""
