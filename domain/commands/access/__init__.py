"""Commands about the access that an invitation gives: its expiry, rebind and removal."""
