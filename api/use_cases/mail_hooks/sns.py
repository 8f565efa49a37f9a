"""Messages of Amazon SNS: the signature of each, and the certificate that it is verified with.

A signature is RSA over the signed members of the message, with SHA-1 (version 1) or SHA-256 (version 2). Its
certificate is fetched from the service itself, whose name is checked first: anyone can name a certificate of their own.
The service publishes no issuers with it, so the chain of trust is that of the HTTPS connection to the service.
"""

import base64
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate
from cryptography.x509.oid import NameOID

from api.errors import RETRY_AFTER_S, ApplicationError
from api.use_cases.mail_hooks.hook import member, text_at

Fetch = Callable[[str], bytes | None]
"""Returns the body of a public page; None if it cannot be fetched. Bounded in time and size."""
CERTIFICATES_MAX: Final = 8
"""Certificates that a process keeps; a topic's region has one, and replaces it once a year."""
_SERVICE: Final = r"https://sns\.[a-z0-9-]{3,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE_URL: Final = re.compile(rf"{_SERVICE}/[A-Za-z0-9._-]{{1,200}}\.pem")
_SUBSCRIBE_URL: Final = re.compile(rf"{_SERVICE}/\?[!-~]+")
_SUBJECT: Final = re.compile(r"sns[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?")
"""Common name of a certificate; regions have different ones."""
_HASHES: Final[Mapping[str, type[SHA1] | type[SHA256]]] = {"1": SHA1, "2": SHA256}
_SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""The signed members of each type of message, in their order."""


class SnsVerifier:
    """Verifies messages, and confirms subscriptions. Thread-safe.

    Args:
        fetch: Fetches certificates, and the URLs that confirm.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._certificates: OrderedDict[str, Certificate] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, message: object, now: datetime) -> None:
        """Check the signature of a message, with a certificate that is valid now.

        Raises:
            ApplicationError: SIGNATURE_INVALID; UNAVAILABLE, the certificate cannot be fetched.
        """
        algorithm = _HASHES.get(text_at(message, "SignatureVersion"))
        url = text_at(message, "SigningCertURL")
        if algorithm is None or text_at(message, "Type") not in _SIGNED or not _CERTIFICATE_URL.fullmatch(url):
            raise ApplicationError("SIGNATURE_INVALID")
        try:
            signature = base64.b64decode(text_at(message, "Signature"), validate=True)
            key = _key_of(self._find_certificate(url), now)
            key.verify(signature, signed_text(message).encode(), PKCS1v15(), algorithm())
        except (InvalidSignature, ValueError) as error:
            raise ApplicationError("SIGNATURE_INVALID") from error

    def confirm(self, message: object) -> None:
        """Confirm the subscription that a verified message asks about.

        Raises:
            ApplicationError: SIGNATURE_INVALID, the URL is not one of the service; UNAVAILABLE, it does not answer.
        """
        url = text_at(message, "SubscribeURL")
        if not _SUBSCRIBE_URL.fullmatch(url):
            raise ApplicationError("SIGNATURE_INVALID")
        self._fetched(url)

    def _find_certificate(self, url: str) -> Certificate:
        with self._lock:
            certificate = self._certificates.get(url)
        if certificate is not None:
            return certificate
        certificate = load_pem_x509_certificate(self._fetched(url))
        with self._lock:
            self._certificates[url] = certificate
            if len(self._certificates) > CERTIFICATES_MAX:
                self._certificates.popitem(last=False)
        return certificate

    def _fetched(self, url: str) -> bytes:
        body = self._fetch(url)
        if body is None:
            raise ApplicationError("UNAVAILABLE", retry_after_s=RETRY_AFTER_S)
        return body


def _key_of(certificate: Certificate, now: datetime) -> RSAPublicKey:
    """Return the key of a certificate of the service.

    Raises:
        ValueError: It is not valid now, is of another subject, or has no RSA key.
    """
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ValueError("the certificate has expired, or is not valid yet")
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not any(_SUBJECT.fullmatch(str(name.value)) for name in names):
        raise ValueError("the certificate is not one of the service")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the service signs with RSA")  # noqa: TRY004 - the certificate is wrong, not the call
    return key


def signed_text(message: object) -> str:
    """Return what the service signs of a message: each member that it has, its name and its value on lines."""
    names = _SIGNED[text_at(message, "Type")]
    return "".join(f"{name}\n{text_at(message, name)}\n" for name in names if member(message, name) is not None)
