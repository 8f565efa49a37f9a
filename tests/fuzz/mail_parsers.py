"""Reports about emails: messages of mail servers, and requests to the hooks of mail providers."""

import json
from contextlib import suppress
from typing import Final, get_args

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import HookRequest
from api.use_cases.mail_hooks.providers import open_mail_hook
from domain.model.suppression import ReportKind
from domain.report_intake import REPORT_CHARS_MAX, MailReport
from domain.values.mail.bounce_reason import BounceReason
from domain.values.mail.mail_provider import PROVIDERS
from domain.values.mail.mail_token import read_mail_token
from tests.fuzz.mutator import Mutator
from tests.support.mail_providers import certificate, fake_providers
from tests.unit.workers.mail_reports.reports import (
    COMPLAINT,
    NOW,
    QMAIL,
    REF,
    SECRET,
    TOKEN,
    VACATION,
    status_report,
)
from workers.mail_reports.report_parser import parse_report

MESSAGES: Final = (
    status_report().decode(),
    status_report("delayed", "4.4.1").decode(),
    COMPLAINT.format(kind="abuse", token=TOKEN),
    QMAIL.format(token=TOKEN),
    VACATION.format(token=TOKEN),
)
FAKES: Final = fake_providers()
HOOKS: Final = {name: open_mail_hook(name, FAKES[name].secret, lambda _: certificate()) for name in PROVIDERS}


def read_message(mutator: Mutator) -> None:
    """A message, as the bounce mailbox holds it: read or not, and never about an email whose token it lacks."""
    report = parse_report(mutator.octets(MESSAGES))
    if report is not None:
        _check(report)


def read_signed_event(mutator: Mutator) -> None:
    """An event, altered before its provider signs it: read or refused, and never about another email."""
    name = mutator.choice.choice(PROVIDERS)
    fake = FAKES[name]
    make = mutator.choice.choice((fake.bounce, fake.delay, fake.complaint, fake.delivered))
    event = mutator.text((json.dumps(make(TOKEN)),)).encode(errors="replace").decode()
    posted = fake.post_text(event, NOW)
    headers = {header.lower(): value for header, value in posted.headers.items()}
    with suppress(ApplicationError):
        for report in filter(None, HOOKS[name].read(HookRequest(headers, posted.body, NOW))):
            _check(report)


def read_forged_request(mutator: Mutator) -> None:
    """A request, altered after its provider signed it. Mailgun signs no event, and Postmark signs nothing."""
    name = mutator.choice.choice(PROVIDERS)
    hook, posted = HOOKS[name], FAKES[name].post(FAKES[name].bounce(TOKEN), NOW)
    headers = {header.lower(): value for header, value in posted.headers.items()}
    signed = hook.read(HookRequest(headers, posted.body, NOW))
    altered = {
        header: mutator.text((value,)).encode("latin-1", "replace").decode("latin-1")  # as HTTP has it
        for header, value in headers.items()
    }
    with suppress(ApplicationError):
        reports = hook.read(HookRequest(altered, mutator.octets((posted.body.decode(),)), NOW))
        assert name in {"mailgun", "postmark"} or reports == signed, "a report was forged"
        for report in filter(None, reports):
            _check(report)


def _check(report: MailReport) -> None:
    assert report.kind in get_args(ReportKind)
    assert report.reason in get_args(BounceReason)
    assert report.reply_code is None or 400 <= report.reply_code <= 599
    assert len(report.text) <= REPORT_CHARS_MAX
    assert "\0" not in report.text.encode().decode()
    assert {read_mail_token(SECRET, token, NOW) for token in report.tokens} <= {None, REF}, "a token was forged"
