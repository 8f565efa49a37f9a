"""Which hook is that of a provider."""

from api.use_cases.mail_hooks.hook import MailHook
from api.use_cases.mail_hooks.mailgun import MailgunHook
from api.use_cases.mail_hooks.postmark import PostmarkHook
from api.use_cases.mail_hooks.sendgrid import SendGridHook
from api.use_cases.mail_hooks.ses import SesHook
from api.use_cases.mail_hooks.sns import Fetch
from domain.values.mail.mail_provider import MailProvider


def open_mail_hook(provider: MailProvider, secret: str, fetch: Fetch) -> MailHook:
    """Return the hook of a provider.

    Args:
        provider: Its name.
        secret: What proves that a request is from it.
        fetch: Fetches public pages.

    Raises:
        ValueError: The secret is not one of this provider.
    """
    match provider:
        case "ses":
            return SesHook(secret, fetch)
        case "sendgrid":
            return SendGridHook(secret)
        case "mailgun":
            return MailgunHook(secret)
        case "postmark":
            return PostmarkHook(secret)
