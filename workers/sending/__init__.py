"""One loop for what is sent under a lease: invitations, hand-outs, notices, removals; and what makes them due."""
