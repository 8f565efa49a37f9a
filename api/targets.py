"""Addresses that somebody types in for us to send to: what is wrong with one is said where it is typed."""

from api.problems import ProblemError
from api.settings import ApiSettings
from domain.webhooks.target_url import Target, TargetError, TargetFault


def fault_of_target(url: str, settings: ApiSettings) -> TargetFault | None:
    """What is wrong with a URL; None if it may be a target. Where its name leads is looked at whenever we send."""
    try:
        Target.parse(url, settings.webhook_networks)
    except TargetError as wrong:
        return wrong.fault
    return None


def checked_target(url: str, settings: ApiSettings) -> str:
    """The URL, trimmed.

    Raises:
        ProblemError: TARGET_REFUSED, with what to write instead.
    """
    if (why := fault_of_target(trimmed := url.strip(), settings)) is not None:
        raise ProblemError("TARGET_REFUSED", why=why)
    return trimmed
