"""The kinds of channels that a group can have: one module each, found by `workers.channels.registry`."""
