"""What may be missing beside the API, and what that means to an operator. None of it stops redeems."""

from typing import Final

PARTS: Final = {
    "broker": "Redis does not answer: invitations wait for it, redeems are taken all the same",
    "worker": "no worker gave a sign of life for 15 s: invitations wait for one",
    "beat": "beat gave no sign of life for 15 s: retries and refunds wait for it",
    "broker_noeviction": "Redis may throw queued work away: set its maxmemory-policy to noeviction",
    "broker_memory": "Redis is at its maxmemory and takes no more work: raise it, or find out what fills it",
}
"""By the names of `workers.broker.BrokerState.missing`."""
