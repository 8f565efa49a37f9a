"""The emails to staff that the application sends, read instead of a mail server."""

import threading
from dataclasses import dataclass, field

import pytest

from domain.ports import Accepted, OutboundMessage, Outcome
from tests.support.waiting import wait_for
from workers.mail_preview import MailPreviewer


@dataclass
class StaffInbox:
    outcome: Outcome = field(default_factory=lambda: Accepted(server="mx:25"))
    messages: list[OutboundMessage] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    """The mail server answers once it is set, as it is at the start."""

    def send(self, message: OutboundMessage) -> Outcome:
        """Take one email, as `MailPreviewer.send`."""
        self.messages.append(message)
        self.answers.wait(30)
        return self.outcome

    def find_link(self, address: str, number: int = 1) -> str:
        """Wait for so many emails to an address; return the path of the link in the newest one."""

        def find() -> str | None:
            own = [message for message in self.messages if message.recipient.normal == address.lower()]
            return own[-1].link if len(own) >= number else None

        link = wait_for(find)
        assert link is not None
        return "/" + link.split("/", 3)[3]


def read_emails_of_staff(monkeypatch: pytest.MonkeyPatch) -> StaffInbox:
    """Let an inbox stand for the mail server."""
    inbox = StaffInbox()
    inbox.answers.set()
    monkeypatch.setattr(MailPreviewer, "send", lambda _, message: inbox.send(message))
    return inbox
