"""Reports as mail servers and recipients write them."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from domain.values.mail.mail_token import MailRef, mail_token

SECRET: Final = b"secret"
NOW: Final = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
REF: Final = MailRef("invite", UUID(int=7), 1)
TOKEN: Final = mail_token(SECRET, REF, NOW)

POSTFIX: Final = """\
Return-Path: <>
Delivered-To: bounces+{token}@ledger.example
From: MAILER-DAEMON@mx.example (Mail Delivery System)
To: bounces+{token}@ledger.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Original-Envelope-Id: {token}
Arrival-Date: Mon, 30 Nov 2026 12:00:00 +0000

Final-Recipient: rfc822; li@example.com
Original-Recipient: rfc822; li@example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}

--B
Content-Type: text/rfc822-headers

Return-Path: <bounces+{token}@ledger.example>
Subject: Invitation
Message-ID: <1@ledger.example>

--B--
"""

COMPLAINT: Final = """\
From: feedback@isp.example
To: bounces@ledger.example
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="B"

--B
Content-Type: text/plain

This is an email abuse report.

--B
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <bounces+{token}@ledger.example>

--B
Content-Type: message/rfc822

From: ledger@ledger.example
To: li@example.com
Subject: Invitation

Hello.

--B--
"""

QMAIL: Final = """\
From: MAILER-DAEMON@mx.example
To: bounces+{token}@ledger.example
Subject: failure notice

Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<li@example.com>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 <li@example.com>: no such user here

--- Below this line is a copy of the message.
"""

VACATION: Final = """\
From: li@example.com
To: bounces+{token}@ledger.example
Subject: Out of office
Auto-Submitted: auto-replied (vacation)

I am away until Monday. User unknown is what my colleagues call me.
"""


def status_report(
    action: str = "failed", status: str = "5.1.1", diagnostic: str = "550 5.1.1 no such user", token: str = TOKEN
) -> bytes:
    text = POSTFIX.format(token=token, action=action, status=status, diagnostic=diagnostic)
    return text.replace("\n", "\r\n").encode()
