"""Passkeys: WebAuthn Level 3 by `webauthn`, for the one origin of the public URL.

The library checks challenge, origin, relying party, presence, signature and, if asked, user verification. It compares
the signature counter before the signature, so anyone could have a counter reported; here the caller compares it
afterwards, when it is known to be the authenticator's.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import parse_authentication_credential_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from api.auth.totp import ISSUER
from projections.config.url_validation import is_secure_url

CHALLENGE_BYTES: Final = 32
DEFAULT_PORTS: Final = {"https": 443, "http": 80}
"""Ports that browsers leave out of an origin."""
CREDENTIAL_LENGTH_MAX: Final = 20_000
"""Longest answer of an authenticator that is read, in characters; with an attestation it has some thousands."""


class PasskeyError(Exception):
    """The answer of an authenticator is not one to the challenge, or was not made for this ledger."""


class RelyingParty(NamedTuple):
    """What passkeys are bound to: the host of the public URL, and its origin."""

    rp_id: str
    origin: str

    @classmethod
    def from_url(cls, public_url: str) -> "RelyingParty | None":
        """Return the party of a URL; None if browsers permit no passkeys there: without TLS, or under an IP address."""
        parts = urlsplit(public_url)
        host = parts.hostname or ""
        if not is_secure_url(public_url) or _is_ip_address(host):
            return None
        port = "" if parts.port in {None, DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
        return cls(host, f"{parts.scheme}://{host}{port}")


class RegisteredPasskey(NamedTuple):
    """What an authenticator created."""

    credential_id: bytes
    public_key: bytes
    counter: int


class Assertion(NamedTuple):
    """What an authenticator says about itself; none of it is checked yet."""

    credential_id: bytes
    user_id: bytes | None


def describe_registration(
    party: RelyingParty, challenge: bytes, user_id: UUID, address: str, passkeys: Sequence[bytes]
) -> str:
    """Return the options of `navigator.credentials.create` as JSON; authenticators with a known passkey refuse."""
    options = generate_registration_options(
        rp_id=party.rp_id,
        rp_name=ISSUER,
        user_id=user_id.bytes,
        user_name=address,
        challenge=challenge,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in passkeys],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
    )
    return options_to_json(options)


def describe_assertion(party: RelyingParty, challenge: bytes, passkeys: Sequence[bytes], *, verify_user: bool) -> str:
    """Return the options of `navigator.credentials.get` as JSON; without known passkeys the authenticator chooses."""
    options = generate_authentication_options(
        rp_id=party.rp_id,
        challenge=challenge,
        allow_credentials=[PublicKeyCredentialDescriptor(id=credential_id) for credential_id in passkeys],
        user_verification=UserVerificationRequirement.REQUIRED
        if verify_user
        else UserVerificationRequirement.PREFERRED,
    )
    return options_to_json(options)


def check_registration(party: RelyingParty, challenge: bytes, credential: str) -> RegisteredPasskey:
    """Return the passkey that an authenticator created.

    Raises:
        PasskeyError: It is not an answer to this challenge from one of our pages.
    """
    try:
        verified = verify_registration_response(
            credential=_check_length(credential),
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise PasskeyError(str(error)) from error
    return RegisteredPasskey(verified.credential_id, verified.credential_public_key, verified.sign_count)


def read_assertion(credential: str) -> Assertion:
    """Return which passkey an answer is of, so that its key can be looked up.

    Raises:
        PasskeyError: It is not an answer of an authenticator.
    """
    try:
        parsed = parse_authentication_credential_json(_check_length(credential))
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise PasskeyError(str(error)) from error
    return Assertion(parsed.raw_id, parsed.response.user_handle)


def check_assertion(
    party: RelyingParty, challenge: bytes, credential: str, public_key: bytes, *, verify_user: bool
) -> int:
    """Check the signature of an answer, and return the authenticator's counter.

    Raises:
        PasskeyError: It is not an answer to this challenge from one of our pages, signed with this key.
    """
    try:
        verified = verify_authentication_response(
            credential=_check_length(credential),
            expected_challenge=challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=verify_user,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise PasskeyError(str(error)) from error
    return verified.new_sign_count


def _check_length(credential: str) -> str:
    if len(credential) > CREDENTIAL_LENGTH_MAX:
        raise PasskeyError("the answer is too long")
    return credential


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
