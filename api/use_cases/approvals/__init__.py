"""Actions that wait for a second person: a proposal, and its approval, which performs the action."""
