"""Composition of the store, and execution of commands in batches."""
