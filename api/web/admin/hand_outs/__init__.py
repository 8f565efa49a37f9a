"""The pages of hand-outs: a campaign's list, a form for a new one, and one with its progress, lists and recipients."""
