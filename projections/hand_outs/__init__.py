"""Hand-outs: uploaded lists, the state of each recipient, and the emails that are due."""
