"""Commands about hand-outs: codes of a campaign that a list of recipients gets."""
