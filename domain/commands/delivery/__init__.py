"""Commands about one sending attempt: claim, outcome, late success, bounce, acceptance."""
