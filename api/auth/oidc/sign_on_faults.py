"""Why a sign-in through the identity provider ends without a session."""

from typing import Literal

SignOnFault = Literal[
    "unreachable",
    "misconfigured",
    "token_invalid",
    "clocks_differ",
    "denied",
    "stale",
    "no_role",
    "no_address",
    "address_in_use",
    "account_closed",
    "account_connected",
    "another_person",
    "not_proved",
]


class SignOnError(Exception):
    """There is no session, and a sentence for the person says why.

    Attributes:
        fault: Which sentence.
        detail: What was wrong, for the log and the audit log; never a token or a secret.
    """

    def __init__(self, fault: SignOnFault, detail: str = "") -> None:
        super().__init__(f"{fault}: {detail}" if detail else fault)
        self.fault: SignOnFault = fault
        self.detail = detail
