"""Why an email bounced, as a stable word: what the enhanced status codes of mail servers come down to."""

import re
from typing import Final, Literal

BounceReason = Literal["mailbox_unknown", "domain_unknown", "mailbox_full", "expired", "refused", "other"]
_REASONS: Final[tuple[tuple[str, BounceReason], ...]] = (
    (r"5\.1\.(?:2|10)", "domain_unknown"),
    (r"5\.4\.4", "domain_unknown"),
    (r"5\.1\.(?:0|1|3|6)", "mailbox_unknown"),
    (r"5\.2\.1", "mailbox_unknown"),
    (r"[45]\.2\.2", "mailbox_full"),
    (r"[45]\.4\.7", "expired"),
    (r"4\.\d+\.\d+", "expired"),
    (r"5\.7\.\d+", "refused"),
)
"""Patterns of codes, the first that matches counts: subjects and details of RFC 3463 (3.1 to 3.8) and of the registry
that RFC 5248 began. A failure with a temporary code means that the server gave up trying."""


def reason_of_status(status: str) -> BounceReason:
    """Return why an email bounced for good, by its enhanced status code such as `5.1.1`; `other` for the rest."""
    return next((reason for pattern, reason in _REASONS if re.fullmatch(pattern, status)), "other")
