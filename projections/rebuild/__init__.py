"""Rebuilding read models while redeem requests continue."""
