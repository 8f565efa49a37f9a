"""Mail providers as they post: events as their manuals show them, signed with keys of the tests."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple, Protocol
from uuid import uuid4

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

ADDRESS: Final = "li.wei@example.com"
CERTIFICATE_URL: Final = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE_URL: Final = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=t0"
TOPIC: Final = "arn:aws:sns:eu-west-1:123456789012:bounces"
OTHER_TOPIC: Final = "arn:aws:sns:eu-west-1:123456789012:others"
HASHES: Final = {"1": SHA1, "2": SHA256}


class Posted(NamedTuple):
    headers: Mapping[str, str]
    body: bytes


class FakeProvider(Protocol):
    @property
    def secret(self) -> str:
        """LEDGER_MAIL_HOOK_SECRET."""

    def bounce(self, token: str) -> object: ...

    def delay(self, token: str) -> object: ...

    def complaint(self, token: str) -> object: ...

    def delivered(self, token: str) -> object: ...

    def post(self, event: object, at: datetime, /) -> Posted: ...

    def post_text(self, event: str, at: datetime, /) -> Posted:
        """A signed request with an event as it is written, which may be no JSON."""

    def post_forged(self, event: object, at: datetime, /) -> Posted: ...


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate() -> bytes:
    return certify(rsa_key())


def certify(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    valid_from: datetime = datetime(2020, 1, 1, tzinfo=UTC),
    valid_until: datetime = datetime(2100, 1, 1, tzinfo=UTC),
    subject: str = "sns.amazonaws.com",
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(valid_from).not_valid_after(valid_until)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@dataclass
class FakeSes:
    """Amazon SES with event publishing to a topic of SNS.

    Attributes:
        fetched: URLs that the ledger fetched.
        is_reachable: Whether it can fetch any.
    """

    secret: str = TOPIC
    version: str = "2"
    fetched: list[str] = field(default_factory=list)
    is_reachable: bool = True

    def fetch(self, url: str) -> bytes | None:
        """Answer the ledger."""
        self.fetched.append(url)
        return certificate() if self.is_reachable else None

    def bounce(self, token: str) -> object:
        return {
            "eventType": "Bounce",
            "bounce": {
                "bounceType": "Permanent",
                "bounceSubType": "General",
                "bouncedRecipients": [
                    {
                        "emailAddress": ADDRESS,
                        "action": "failed",
                        "status": "5.1.1",
                        "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                    }
                ],
                "timestamp": "2017-08-05T00:41:02.669Z",
                "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
                "reportingMTA": "dsn; mta.example.com",
            },
            "mail": self.mail(token),
        }

    def delay(self, token: str) -> object:
        recipient = {"emailAddress": ADDRESS, "status": "4.4.1", "diagnosticCode": "smtp; 421 4.4.1 timed out"}
        return {
            "eventType": "DeliveryDelay",
            "mail": self.mail(token),
            "deliveryDelay": {
                "timestamp": "2020-06-16T00:25:40.095Z",
                "delayType": "TransientCommunicationFailure",
                "expirationTime": "2020-06-16T00:25:40.914Z",
                "delayedRecipients": [recipient],
            },
        }

    def complaint(self, token: str) -> object:
        return {
            "notificationType": "Complaint",
            "complaint": {
                "complainedRecipients": [{"emailAddress": ADDRESS}],
                "complaintSubType": None,
                "complaintFeedbackType": "abuse",
                "userAgent": "Amazon SES Mailbox Simulator",
            },
            "mail": {**self.mail(""), "source": f"bounces+{token}@ledger.example"},
        }

    def delivered(self, token: str) -> object:
        return {"eventType": "Delivery", "mail": self.mail(token), "delivery": {"recipients": [ADDRESS]}}

    def mail(self, token: str) -> dict[str, Any]:
        """What each event says about its email."""
        return {
            "timestamp": "2017-08-05T00:40:02.012Z",
            "source": "Ledger <ledger@ledger.example>",
            "messageId": "EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000",
            "destination": [ADDRESS],
            "headersTruncated": False,
            "headers": [{"name": "Subject", "value": "Your invitation"}],
            "tags": {"ses:configuration-set": ["ledger"], **({"delivery": [token]} if token else {})},
        }

    def post(self, event: object, at: datetime) -> Posted:
        return self.post_text(orjson.dumps(event).decode(), at)

    def post_text(self, event: str, at: datetime) -> Posted:
        """A signed request with an event as it is written."""
        return self.notify(at, Message=event)

    def post_forged(self, event: object, at: datetime) -> Posted:
        message = orjson.loads(self.post(event, at).body)
        return Posted({}, orjson.dumps({**message, "Message": message["Message"] + " "}))

    def notify(self, at: datetime, message_type: str = "Notification", **members: str) -> Posted:
        """A signed message of the notification service."""
        message = {
            "Type": message_type,
            "MessageId": str(uuid4()),
            "TopicArn": self.secret,
            "Message": "",
            "Timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": self.version,
            "SigningCertURL": CERTIFICATE_URL,
            **members,
        }
        names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        signed = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        signature = rsa_key().sign(signed.encode(), PKCS1v15(), HASHES[self.version]())
        body = orjson.dumps({**message, "Signature": base64.b64encode(signature).decode()})
        return Posted({"content-type": "text/plain; charset=UTF-8"}, body)


class FakeSendGrid:
    """SendGrid's Event Webhook with signature verification."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def secret(self) -> str:
        """Its verification key."""
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()

    def bounce(self, token: str) -> object:
        words = {"reason": "550 5.1.1 The email account does not exist", "status": "5.1.1", "type": "bounce"}
        return [self.event("bounce", token, bounce_classification="Invalid Address", **words)]

    def delay(self, token: str) -> object:
        return [self.event("deferred", token, response="400 try again later", attempt="5")]

    def complaint(self, token: str) -> object:
        return [self.event("spamreport", token)]

    def delivered(self, token: str) -> object:
        return [self.event("delivered", token, response="250 OK")]

    def event(self, name: str, token: str, **more: str) -> dict[str, object]:
        return {
            "email": ADDRESS,
            "timestamp": 1513299569,
            "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
            "event": name,
            "sg_event_id": "sg_event_id",
            "sg_message_id": "sg_message_id",
            "delivery": token,
            **more,
        }

    def post(self, event: object, at: datetime) -> Posted:
        return self._signed(self._key, orjson.dumps(event), at)

    def post_text(self, event: str, at: datetime) -> Posted:
        """A signed request with events as they are written."""
        return self._signed(self._key, event.encode(), at)

    def post_forged(self, event: object, at: datetime) -> Posted:
        return self._signed(ec.generate_private_key(ec.SECP256R1()), orjson.dumps(event), at)

    def _signed(self, key: ec.EllipticCurvePrivateKey, body: bytes, at: datetime) -> Posted:
        timestamp = str(int(at.timestamp()))
        signature = base64.b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))).decode()
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }
        return Posted(headers, body)


class FakeMailgun:
    """Mailgun's webhooks."""

    secret = "key-0123456789abcdef"

    def bounce(self, token: str) -> object:
        status = {
            "attempt-no": 1,
            "message": "5.1.1 The email account that you tried to reach does not exist.",
            "code": 550,
            "enhanced-code": "5.1.1",
            "description": "",
            "bounce-type": "hard",
        }
        words = {"severity": "permanent", "reason": "bounce", "delivery-status": status}
        return self.event("failed", token, **words)

    def delay(self, token: str) -> object:
        status = {"attempt-no": 2, "message": "4.2.1 too busy", "code": 452, "retry-seconds": 900}
        return self.event("failed", token, severity="temporary", reason="generic", **{"delivery-status": status})

    def complaint(self, token: str) -> object:
        event = self.event("complained", "")
        return {**event, "envelope": {"sender": f"bounces+{token}@ledger.example"}}

    def delivered(self, token: str) -> object:
        return self.event("delivered", token)

    def event(self, name: str, token: str, **more: object) -> dict[str, object]:
        return {
            "event": name,
            "id": "G9Bn5sl1TC6nu79C8C0bwg",
            "timestamp": 1521233195.375624,
            "recipient": ADDRESS,
            "envelope": {"sender": "ledger@ledger.example", "targets": ADDRESS, "transport": "smtp"},
            "user-variables": {"delivery": token} if token else {},
            **more,
        }

    def post(self, event: object, at: datetime) -> Posted:
        return self._signed(self.secret, orjson.dumps(event), at)

    def post_text(self, event: str, at: datetime) -> Posted:
        """A signed request with an event as it is written."""
        return self._signed(self.secret, event.encode(), at)

    def post_forged(self, event: object, at: datetime) -> Posted:
        return self._signed("key-another", orjson.dumps(event), at)

    def _signed(self, key: str, event: bytes, at: datetime) -> Posted:
        timestamp, token = str(int(at.timestamp())), uuid4().hex
        signature = hmac.digest(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hex()
        signed = {"timestamp": timestamp, "token": token, "signature": signature}
        body = b'{"signature":%b,"event-data":%b}' % (orjson.dumps(signed), event)
        return Posted({"content-type": "application/json"}, body)


class FakePostmark:
    """Postmark's webhooks with credentials in their URL."""

    secret = "postmark:s3cret-pass:word"

    def bounce(self, token: str) -> object:
        return self.record("HardBounce", token, TypeCode=1, Details="smtp;550 5.1.1 The account does not exist")

    def delay(self, token: str) -> object:
        return self.record("Transient", token, TypeCode=2, Details="smtp;451 4.3.0 try again")

    def complaint(self, token: str) -> object:
        return {**self.record("SpamComplaint", token, TypeCode=100001), "RecordType": "SpamComplaint"}

    def delivered(self, token: str) -> object:
        return {"RecordType": "Delivery", "Metadata": {"delivery": token}}

    def record(self, bounce_type: str, token: str, **more: object) -> dict[str, object]:
        return {
            "RecordType": "Bounce",
            "MessageStream": "outbound",
            "ID": 4323372036854775807,
            "Type": bounce_type,
            "Metadata": {"delivery": token},
            "Description": "The server was unable to deliver your message",
            "Email": ADDRESS,
            "BouncedAt": "2019-11-05T16:33:54.9070259Z",
            "Content": "<Full dump of bounce>",
            **more,
        }

    def post(self, event: object, at: datetime) -> Posted:
        return self.post_text(orjson.dumps(event).decode(), at)

    def post_text(self, event: str, _at: datetime) -> Posted:
        """A request with the credentials, and an event as it is written."""
        return self.post_as(self.secret, event)

    def post_forged(self, event: object, _at: datetime) -> Posted:
        return self.post_as("postmark:wrong", orjson.dumps(event).decode())

    def post_as(self, credentials: str, event: str) -> Posted:
        """A request with these credentials."""
        encoded = base64.b64encode(credentials.encode()).decode()
        return Posted({"authorization": f"Basic {encoded}"}, event.encode())


def fake_providers() -> dict[str, FakeProvider]:
    return {"ses": FakeSes(), "sendgrid": FakeSendGrid(), "mailgun": FakeMailgun(), "postmark": FakePostmark()}
