"""Mail providers that report bounces by HTTP, and the header by which their reports name an email.

A provider replaces the envelope's sender by its own, so a token must travel where its reports repeat it.
"""

import json
import re
from collections.abc import Mapping
from typing import Final, Literal, get_args

MailProvider = Literal["ses", "sendgrid", "mailgun", "postmark"]
PROVIDERS: Final[tuple[MailProvider, ...]] = get_args(MailProvider)
NAME_OF_VALUE: Final = "delivery"
"""Name of the value that a report repeats."""
_SECRETS: Final[Mapping[MailProvider, tuple[re.Pattern[str], str]]] = {
    "ses": (re.compile(r"arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]+:[\w.-]+"), "the ARN of an SNS topic"),
    "sendgrid": (
        # The DER of a public key of P-256, uncompressed: 27 bytes that are the same in each, and 64 of the key.
        re.compile(r"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{86}=="),
        "the verification key of the event webhook, which begins with MFkwEwYHKoZIzj0C",
    ),
    "mailgun": (re.compile(r"[!-~]{8,}"), "the HTTP webhook signing key"),
    "postmark": (re.compile(r"[!-9;-~]+:[!-~]+"), "user:password, as in the URL that Postmark calls"),
}
"""The form of what proves that a report is from a provider, and what it is."""


def check_hook_secret(provider: MailProvider | None, secret: str) -> None:
    """Check what is to prove that reports are from a provider.

    Raises:
        ValueError: It is not of the provider's form, or there is no provider.
    """
    if provider is None:
        raise ValueError("has no effect without LEDGER_MAIL_PROVIDER: set both, or neither")
    form, meaning = _SECRETS[provider]
    if not form.fullmatch(secret):
        raise ValueError(f"must be {meaning}")


def token_header(provider: MailProvider, token: str) -> tuple[str, str]:
    """Return the header that tells a provider the token of an email.

    As their manuals say: Amazon SES "X-SES-MESSAGE-TAGS", SendGrid "X-SMTPAPI" (unique arguments), Mailgun
    "X-Mailgun-Variables", Postmark "X-PM-Metadata-*".
    """
    match provider:
        case "ses":
            return "X-SES-MESSAGE-TAGS", f"{NAME_OF_VALUE}={token}"
        case "sendgrid":
            return "X-SMTPAPI", json.dumps({"unique_args": {NAME_OF_VALUE: token}})
        case "mailgun":
            return "X-Mailgun-Variables", json.dumps({NAME_OF_VALUE: token})
        case "postmark":
            return f"X-PM-Metadata-{NAME_OF_VALUE}", token
