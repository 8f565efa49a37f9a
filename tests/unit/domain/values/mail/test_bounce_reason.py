"""Why an email bounced, by the codes of mail servers."""

from typing import get_args

import pytest

from domain.values.mail.bounce_reason import BounceReason, reason_of_status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("5.1.1", "mailbox_unknown"),
        ("5.2.1", "mailbox_unknown"),
        ("5.1.2", "domain_unknown"),
        ("5.1.10", "domain_unknown"),
        ("5.4.4", "domain_unknown"),
        ("5.2.2", "mailbox_full"),
        ("4.2.2", "mailbox_full"),
        ("4.4.7", "expired"),
        ("4.4.1", "expired"),
        ("5.7.1", "refused"),
        ("5.7.509", "refused"),
        ("5.0.0", "other"),
        ("", "other"),
        ("nonsense", "other"),
    ],
)
def test_status_code_is_a_reason(status: str, reason: BounceReason) -> None:
    """What a person is to do about it differs by the reason."""
    assert reason_of_status(status) == reason
    assert reason in get_args(BounceReason)
