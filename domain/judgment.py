"""What follows an attempt to send a message or to remove access: it is done, made again, or has ended.

There is one judgment for all kinds of sending. Where kinds differ, their rows of `Rules` do. Webhooks share only the
curve of the wait (domain/webhooks/retry_schedule.py): their unit is an endpoint instead of a message.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, overload
from uuid import UUID

from domain.policy import Policy
from domain.ports import Accepted, NotifiedOnly, Outcome, OutcomeUnknown, Rejected, RemovalOutcome, RetryLater
from domain.values.wait import Wait

EARLIER_ATTEMPT: Final = "earlier_attempt"
"""The cause of an outcome that only an attempt before the last one makes unknown."""
LEASE_LOST: Final = OutcomeUnknown(server="ledger", cause="lease_expired")
"""The outcome of an attempt of which no worker stored one."""
JITTER: Final = 0.25
JITTER_STEPS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How often, and how soon, a kind of sending is attempted.

    Attributes:
        repeats_unknown: Whether another attempt, with the same id, follows an unknown outcome.
        repeats_lost_lease: Whether one follows a lease that ended without an outcome.
        attempts_max: Attempts that count, after which the sending has ended.
        wait: Until the next attempt, by the number of those that count.
        reconnect: Until the next attempt after those in a row that had no connection; they do not count.
        connection_max: Age at which a sending without a connection has ended; None: only its deadline ends it.
        later_max: Longest wait for which a channel may ask with "later", each time. None: such an attempt does not
            count, and only the sending's own limit bounds the wait.
    """

    repeats_unknown: bool = True
    repeats_lost_lease: bool = True
    attempts_max: int
    wait: Wait
    reconnect: Wait
    connection_max: timedelta | None = None
    later_max: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The attempts at one sending so far.

    Attributes:
        now: When the last one is judged.
        number: How many count, the last one among them.
        connection_failures: How many in a row had no connection, if the last one is among them.
        may_have_arrived: Whether one before the last had an unknown outcome.
        begun_at: Since when it waits to be sent; None: its age does not matter.
        deadline: No attempt begins then or later; None: at any time.
        latest: As `deadline`, for an attempt that a channel asks to make later.
        spread_by: Random id from which the jitter comes, so that it replays exactly; None: no jitter.
    """

    now: datetime
    number: int
    connection_failures: int = 1
    may_have_arrived: bool = False
    begun_at: datetime | None = None
    deadline: datetime | None = None
    latest: datetime | None = None
    spread_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The channel did what it was asked for."""


@dataclass(frozen=True, slots=True)
class Again:
    """It is attempted again at a time. `counts`: whether the last attempt is one of `Rules.attempts_max`."""

    at: datetime
    counts: bool


@dataclass(frozen=True, slots=True)
class End:
    """It is not attempted again.

    Attributes:
        outcome: That of all attempts together.
        counts: As of `Again`.
    """

    outcome: Rejected | OutcomeUnknown
    counts: bool = True


HAND_OUT: Final = Rules(
    attempts_max=5,
    wait=Wait(60.0),
    reconnect=Wait(60.0, factor=1.0),
    connection_max=timedelta(days=7),
    later_max=timedelta(days=1),
)
"""An email with a handed-out code, or its reminder."""
NOTICE: Final = Rules(
    repeats_unknown=False,  # a second one would worry more than a lost one
    attempts_max=5,
    wait=Wait(60.0),
    reconnect=Wait(60.0, factor=1.0),
    connection_max=timedelta(days=1),  # its content is out of date then
    later_max=timedelta(days=1),
)
"""A notice that follows from an event."""
OFFER: Final = replace(NOTICE, connection_max=None)
"""The offer of a use to a person on a waiting list: while no email is sent, the offer's own end bounds the attempts."""
DIGEST: Final = replace(NOTICE, connection_max=None)
"""The email to operators about crossed thresholds: each of them is in one email, however late that is."""
REMINDER: Final = replace(NOTICE, repeats_lost_lease=False)
"""The reminder of an invitation."""


def invitation_rules(policy: Policy) -> Rules:
    """Return the rules of invitations.

    `Attempts.deadline` bounds attempts without a connection, and `Attempts.latest` how long a channel may ask to wait.
    """
    reconnect_longest_s = min(policy.reconnect_longest_s, policy.retry_longest_s)
    return Rules(
        attempts_max=policy.attempts_max,
        wait=Wait(policy.retry_first_s, 2.0, policy.retry_longest_s, JITTER),
        reconnect=Wait(policy.retry_first_s, 2.0, reconnect_longest_s, JITTER),
        later_max=None,
    )


def removal_rules(policy: Policy) -> Rules:
    """Return the rules of removals. Removing twice is harmless, so an unknown outcome is another attempt."""
    return Rules(
        attempts_max=policy.removal_attempts_max,
        wait=Wait(policy.removal_retry_s, policy.removal_retry_factor),
        reconnect=Wait(policy.removal_retry_s, 2.0, 3600.0),
        connection_max=timedelta(days=1),
        later_max=timedelta(seconds=policy.removal_wait_s_max),
    )


@overload
def judge(outcome: Accepted | NotifiedOnly, so_far: Attempts, rules: Rules) -> Done: ...


@overload
def judge(outcome: Rejected | RetryLater | OutcomeUnknown | None, so_far: Attempts, rules: Rules) -> Again | End: ...


def judge(outcome: RemovalOutcome | None, so_far: Attempts, rules: Rules) -> Done | Again | End:
    """Return what follows the last attempt. `outcome`: what the channel returned; None: its lease ended without one."""
    match outcome:
        case Accepted() | NotifiedOnly():
            return Done()
        case Rejected(final=True):
            return _end(outcome, so_far)
        case Rejected(about_connection=True):
            return _reconnect(outcome, so_far, rules)
        case RetryLater(wait=wait) if rules.later_max is not None:
            return _repeat(outcome, so_far, rules, min(wait, rules.later_max))
        case RetryLater():
            return _defer(outcome, so_far, rules)
        case OutcomeUnknown(retry_after_s=seconds):
            asked = timedelta(seconds=seconds)
            return _repeat(outcome, so_far, rules, asked) if rules.repeats_unknown else End(outcome)
        case Rejected():
            return _repeat(outcome, so_far, rules)
        case None:
            return _repeat(None, so_far, rules) if rules.repeats_lost_lease else End(LEASE_LOST)


def refuses_address_for_good(outcome: Outcome) -> bool:
    """Return whether a mail server refused the recipient's address, so that no further email reaches it either."""
    return isinstance(outcome, Rejected) and outcome.final and outcome.about_address


def as_failure(outcome: RetryLater) -> Rejected:
    """Return the failure of a channel that asks for more time than there is."""
    return Rejected(server=outcome.server, reason=outcome.reason, final=True)


def postpone(now: datetime, rules: Rules) -> datetime:
    """Return when something is attempted that was leased, but not begun."""
    return now + rules.reconnect.after(1)


def _repeat(
    outcome: Rejected | RetryLater | OutcomeUnknown | None,
    so_far: Attempts,
    rules: Rules,
    asked: timedelta = timedelta(0),
) -> Again | End:
    """Return what follows an attempt that counts. `asked`: what a channel asks to wait, or may still answer in."""
    at = so_far.now + max(rules.wait.after(so_far.number, _chance(so_far, so_far.number)), asked)
    has_attempts_left = so_far.number < rules.attempts_max and _is_before(at, so_far.deadline)
    return Again(at, counts=True) if has_attempts_left else _end(outcome, so_far)


def _defer(outcome: RetryLater, so_far: Attempts, rules: Rules) -> Again | End:
    """Return what follows an attempt that does not count because the channel asks for time."""
    at = so_far.now + max(outcome.wait, timedelta(seconds=rules.wait.first_s))
    return Again(at, counts=False) if _is_before(at, so_far.latest) else _end(outcome, so_far)


def _reconnect(outcome: Rejected, so_far: Attempts, rules: Rules) -> Again | End:
    """Return what follows an attempt without a connection: its server has not received the message."""
    failures = so_far.connection_failures
    at = so_far.now + rules.reconnect.after(failures, _chance(so_far, failures))
    is_old = (
        rules.connection_max is not None
        and so_far.begun_at is not None
        and so_far.now - so_far.begun_at >= rules.connection_max
    )
    if is_old or not _is_before(at, so_far.deadline):
        return replace(_end(outcome, so_far), counts=False)
    return Again(at, counts=False)


def _end(outcome: Rejected | RetryLater | OutcomeUnknown | None, so_far: Attempts) -> End:
    """Return the end with the outcome of all attempts.

    A server that refuses a repeat says nothing about the message that it may have accepted before.
    """
    if outcome is None:
        return End(LEASE_LOST)
    if so_far.may_have_arrived and not isinstance(outcome, OutcomeUnknown):
        return End(OutcomeUnknown(server=outcome.server, cause=EARLIER_ATTEMPT))
    return End(as_failure(outcome) if isinstance(outcome, RetryLater) else outcome)


def _is_before(at: datetime, limit: datetime | None) -> bool:
    return limit is None or at < limit


def _chance(so_far: Attempts, number: int) -> float:
    """Return what spreads a burst, from 0 to 1: a byte of the id, by the number of the attempt."""
    return 0.0 if so_far.spread_by is None else so_far.spread_by.bytes[number % 16] / JITTER_STEPS
