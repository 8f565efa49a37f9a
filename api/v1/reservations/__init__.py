"""Routes about reservations, redemptions, cases and outage refunds."""
