"""Channels: the default one, those of groups by kind, and the choice between them."""
