"""The pages that recipients open in a browser: redeem, status, correct, rebind, accept and mailbox."""
