"""The numbers that an operator may choose, handed to every decision."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

WAIT_S_MAX: Final = 900
"""Longest lease, back-off or wait for a reply that a setting may choose, in seconds."""
LONGEST_WAIT: Final = timedelta(seconds=WAIT_S_MAX * 4 / 3)
"""Longer than each of these waits, even with the jitter of a back-off or the margin of a lease. What waits longer was
stored while the clock was ahead, unless a channel, a server or quiet hours asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Limits of one redemption.

    Attributes:
        reservation_ttl_s: Seconds until an unsent reservation is refunded.
        attempts_max: Attempts at one delivery before its failure is final.
        lease_s: Seconds for which an attempt is one worker's; longer than any send may take.
        retry_first_s: Seconds before the second attempt; doubles from there.
        retry_longest_s: Upper bound of that doubling.
        reconnect_longest_s: Upper bound of the doubling while failures are about the connection and spend no attempt.
        deferrals_s_max: Seconds after the reservation beyond which a channel's "later" no longer moves the deadline.
        overdue_per_command: How many overdue reservations one command may settle on its way.
        revoked_per_command: How many reservations of a revoked code one command settles; the rest is for the next ones.
        deliveries_max: How often one invitation may be sent, the first time among them.
        correct_within_s: Seconds after sending, and again after a bounce, in which the person may correct the email
            address; staff always may.
        rebinds_max: How often a person may move an access to another group, where its code does not say.
        rebind_days: Days after its activation in which they may.
        removal_attempts_max: How often a channel is asked to remove an access before a case is opened.
        removal_retry_s: Seconds before the second time; `removal_retry_factor` times as many before each further one.
        removal_wait_s_max: Longest that a channel may defer a removal, each time, in seconds.
        bounce_policy: What a bounce of a sent invitation leads to: a case for staff, or the refund itself where one
            email was sent and nothing about it is uncertain.
        throwaway_domains: Domains whose addresses are thrown away soon, where a campaign asks.
    """

    reservation_ttl_s: int = 1800
    attempts_max: int = 8
    lease_s: int = 60
    retry_first_s: float = 5.0
    retry_longest_s: float = 300.0
    reconnect_longest_s: float = 60.0
    deferrals_s_max: int = 7 * 86400
    overdue_per_command: int = 10
    revoked_per_command: int = 100
    deliveries_max: int = 20
    correct_within_s: int = 3600
    rebinds_max: int = 1
    rebind_days: int = 15
    removal_attempts_max: int = 5
    removal_retry_s: float = 60.0
    removal_retry_factor: float = 5.0
    removal_wait_s_max: int = 86400
    bounce_policy: Literal["case", "refund"] = "case"
    throwaway_domains: frozenset[str] = frozenset()
