"""The identity provider that staff sign in with.

The protocol is that of `authlib` (requests) and `joserfc` (tokens); requests go through the ledger's only HTTP client.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, InvalidKeyIdError, JoseError
from joserfc.jwk import GuestProtocol, Key, KeySet
from pydantic import SecretStr

from api.auth.oidc.provider_documents import AskProvider, ProviderDocuments, ProviderResponse, read_object
from api.auth.oidc.sign_on_faults import SignOnError, SignOnFault
from api.settings import ApiSettings
from projections.config.url_validation import is_secure_url
from projections.repositories.staff_sessions import PROOF_LIFE

PATH: Final = "/support/sign-in/oidc"
"""Path of the pages of single sign-on."""
CALLBACK: Final = f"{PATH}/callback"
REQUEST_S_MAX: Final = 3.0
"""Seconds for one request to the provider; a sign-in makes two, the first one after a start four."""
DOCUMENT_BYTES_MAX: Final = 262_144
"""Longest answer of the provider: key sets with certificates have some 20 kB."""
EVERY_NETWORK: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""Where the provider may be: the operator chose it."""
LEEWAY_S: Final = 60
"""Seconds that the provider's clock and ours may differ by."""
LOGOUT_S: Final = 120
"""Longest age of a logout token in seconds; Back-Channel Logout 1.0, section 2.4, proposes two minutes."""
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Signatures that only the provider can make: with `HS256` our own secret would be a key, `none` is no signature."""
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_CLIENT_AUTHENTICATION: Final = ("client_secret_basic", "client_secret_post")
_PROOF: Final = {"prompt": "login", "max_age": str(PROOF_LIFE.seconds)}
"""Asks for a new sign-in; `max_age` makes `auth_time` mandatory (Core 1.0, section 3.1.2.1). With 0, some providers ask
without end."""
_TIME_CLAIMS: Final = frozenset({"exp", "iat", "nbf"})


class ClientRegistration(NamedTuple):
    """The ledger as the provider knows it.

    Attributes:
        secret: None of a public client, which PKCE protects.
        role_claim: Claim with a person's groups; it is looked for at the userinfo endpoint if the ID token lacks it.
    """

    issuer: str
    client_id: str
    secret: SecretStr | None
    scopes: str
    redirect_uri: str
    role_claim: str

    @classmethod
    def of(cls, settings: ApiSettings) -> "ClientRegistration":
        """Return what the settings of a ledger with a provider say."""
        return cls(
            issuer=settings.oidc_issuer or "",
            client_id=settings.oidc_client_id or "",
            secret=settings.read_client_secret(),
            scopes=settings.oidc_scopes,
            redirect_uri=settings.public_url.rstrip("/") + CALLBACK,
            role_claim=settings.oidc_role_claim,
        )


class SignOnSecrets(NamedTuple):
    """Random texts of one sign-in, which its browser keeps."""

    state: str
    nonce: str
    verifier: str


class SignedInPerson(NamedTuple):
    """Who signed in, as the provider says.

    Attributes:
        address: Email address that the provider does not call unverified; None without one.
        groups: Values of the claim of groups.
        session: Id of the provider's session; None if it names none.
        signed_in_at: When they proved who they are there; None if the provider does not say.
    """

    issuer: str
    subject: str
    address: str | None
    groups: frozenset[str]
    session: str | None
    signed_in_at: datetime | None


class EndedSession(NamedTuple):
    """What a logout token ends: one session of the provider, or every one of a person, begun until a time."""

    subject: str | None
    session: str | None
    issued_at: int


class IdentityProvider:
    """Begins sign-ins, and reads what the provider says of them. Thread-safe.

    Args:
        client: How the ledger is registered.
        exchange: Sends requests.
        clock: Monotonic seconds.
    """

    def __init__(self, client: ClientRegistration, exchange: AskProvider, clock: Callable[[], float]) -> None:
        self.client = client
        self._exchange = exchange
        self._documents = ProviderDocuments(client.issuer, exchange, clock)

    def check(self) -> None:
        """Fetch the provider's documents, unless they are fresh.

        Raises:
            SignOnError: No sign-in is possible.
        """
        self._documents.read_keys()

    def begin(self, secrets: SignOnSecrets, *, is_proof: bool = False) -> str:
        """Return the URL at the provider that a browser goes to.

        Args:
            secrets: Of this sign-in.
            is_proof: Whether the person has to prove there who they are, even with an open session.

        Raises:
            SignOnError: The provider does not answer, or is not what the settings say.
        """
        metadata = self._documents.read_metadata()
        url, _ = self._protocol(metadata).create_authorization_url(
            metadata["authorization_endpoint"],
            state=secrets.state,
            nonce=secrets.nonce,
            code_verifier=secrets.verifier,
            **(_PROOF if is_proof else {}),
        )
        return str(url)

    def finish(self, code: str, secrets: SignOnSecrets, now: datetime) -> SignedInPerson:
        """AskProvider the code that the browser brought for the identity of its person.

        Raises:
            SignOnError: The provider does not answer or refuses, or its token is not valid for this sign-in.
        """
        metadata = self._documents.read_metadata()
        tokens = self._fetch_tokens(metadata, code, secrets.verifier)
        token = self._decode(tokens.get("id_token"))
        access_token = tokens.get("access_token")
        id_token = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": self.client.issuer},
                "aud": {"essential": True, "value": self.client.client_id},
            },
            {"nonce": secrets.nonce, "client_id": self.client.client_id, "access_token": access_token},
        )
        _validate(lambda: id_token.validate(now=int(now.timestamp()), leeway=LEEWAY_S))
        claims: Mapping[str, Any] = token.claims
        is_complete = "email" in claims and find_claim(claims, self.client.role_claim) is not None
        if isinstance(access_token, str) and not is_complete:
            claims = {**self._fetch_userinfo(metadata, access_token, claims["sub"]), **claims}
        return self._identity(claims)

    def read_logout(self, text: str, now: datetime) -> EndedSession:
        """Read a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6).

        Raises:
            SignOnError: It is not valid.
        """
        claims = self._decode(text).claims
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.client.issuer},
            aud={"essential": True, "value": self.client.client_id},
            iat={"essential": True},
            jti={"essential": True},
        )
        _validate(lambda: registry.validate(claims))
        events, subject, session = claims.get("events"), claims.get("sub"), claims.get("sid")
        if not isinstance(events, dict) or LOGOUT_EVENT not in events or "nonce" in claims:
            raise SignOnError("token_invalid", "it is no logout token")
        if not isinstance(subject, str) and not isinstance(session, str):
            raise SignOnError("token_invalid", "it names no person and no session")
        if int(claims["iat"]) < now.timestamp() - LOGOUT_S:
            raise SignOnError("clocks_differ", "iat")
        return EndedSession(_text(subject), _text(session), int(claims["iat"]))

    def _protocol(self, metadata: Mapping[str, Any]) -> OAuth2Client:
        """Return the client of the protocol, with the kind of authentication that the provider supports."""
        method = "none"
        if self.client.secret is not None:
            supported = metadata.get("token_endpoint_auth_methods_supported") or _CLIENT_AUTHENTICATION[:1]
            method = next((kind for kind in _CLIENT_AUTHENTICATION if kind in supported), "")
            if not method:
                raise SignOnError("misconfigured", f"its token endpoint wants one of {supported}: {self.client.issuer}")
        return OAuth2Client(
            _TokenEndpoint(self._exchange),
            client_id=self.client.client_id,
            client_secret=None if self.client.secret is None else self.client.secret.get_secret_value(),
            token_endpoint_auth_method=method,
            scope=self.client.scopes,
            redirect_uri=self.client.redirect_uri,
            code_challenge_method="S256",
        )

    def _fetch_tokens(self, metadata: Mapping[str, Any], code: str, verifier: str) -> Mapping[str, Any]:
        protocol = self._protocol(metadata)
        try:
            tokens = protocol.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=verifier,
                redirect_uri=self.client.redirect_uri,
            )
        except OAuth2Error as error:
            # The ledger's registration is wrong, or the code: used twice, too late, or of another sign-in.
            fault: SignOnFault = "stale" if error.error == "invalid_grant" else "misconfigured"
            raise SignOnError(fault, f"the token endpoint answers {error.error!r:.100}") from error
        except ValueError as error:
            raise SignOnError("misconfigured", "the token endpoint answers no JSON object") from error
        return dict(tokens)

    def _fetch_userinfo(self, metadata: Mapping[str, Any], access_token: str, subject: object) -> Mapping[str, Any]:
        url = metadata.get("userinfo_endpoint")
        if not isinstance(url, str) or not is_secure_url(url):
            return {}
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        response = self._exchange("GET", url, headers, None)
        if response is None:
            raise SignOnError("unreachable", "the userinfo endpoint does not answer")
        claims = read_object(response.body)
        if claims is None:
            return {}  # it may be signed or refuse, as one that is not needed
        if claims.get("sub") != subject:  # Core 1.0, section 5.3.2: or it is about another person
            raise SignOnError("token_invalid", "sub of the userinfo endpoint")
        return claims

    def _decode(self, text: object) -> jwt.Token:
        """Verify the signature of a token, with new keys of the provider if it names one that is not cached."""
        if not isinstance(text, str):
            raise SignOnError("token_invalid", "there is none")
        try:
            try:
                return jwt.decode(text, _key_finder(self._documents.read_keys()), algorithms=ALGORITHMS)
            except InvalidKeyIdError:
                keys = self._documents.read_keys(is_one_missing=True)
                return jwt.decode(text, _key_finder(keys), algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise SignOnError("token_invalid", f"{error!s:.100}") from error

    def _identity(self, claims: Mapping[str, Any]) -> SignedInPerson:
        listed = find_claim(claims, self.client.role_claim)
        groups = [listed] if isinstance(listed, str) else listed if isinstance(listed, Sequence) else []
        is_unverified = claims.get("email_verified") is False
        return SignedInPerson(
            self.client.issuer,
            claims["sub"],
            None if is_unverified else _text(claims.get("email")),
            frozenset(group for group in groups if isinstance(group, str)),
            _text(claims.get("sid")),
            _time(claims.get("auth_time")),
        )


class _TokenEndpoint:
    """What the protocol's client uses of an HTTP session."""

    def __init__(self, exchange: AskProvider) -> None:
        self._exchange = exchange

    def post(
        self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: ClientAuth
    ) -> "_TokenAnswer":
        url, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        response = self._exchange("POST", url, sent, body.encode())
        if response is None:
            raise SignOnError("unreachable", "the token endpoint does not answer")
        return _TokenAnswer(response)


class _TokenAnswer:
    """The answer of the token endpoint, as the protocol's client reads it."""

    def __init__(self, response: ProviderResponse) -> None:
        self.status_code = response.status
        self._body = response.body

    def json(self) -> object:
        return json.loads(self._body)

    def raise_for_status(self) -> None:
        raise SignOnError("unreachable", f"the token endpoint answers with status {self.status_code}")


def find_claim(claims: Mapping[str, Any], name: str) -> object:
    """Return a claim by its name, or by a path of names such as `realm_access.roles`; None without it."""
    here: object = claims
    for part in [name] if name in claims else name.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here


def _key_finder(keys: KeySet) -> Callable[[GuestProtocol], Key]:
    """Return what finds the key of a token by its id; a token may leave it out if there is only one key."""

    def find(token: GuestProtocol) -> Key:
        kid = token.headers().get("kid")
        return keys.keys[0] if kid is None and len(keys.keys) == 1 else keys.get_by_kid(kid)

    return find


def _validate(check: Callable[[], object]) -> None:
    try:
        check()
    except ExpiredTokenError as error:
        raise SignOnError("clocks_differ", "exp") from error
    except InvalidClaimError as error:
        fault: SignOnFault = "clocks_differ" if error.claim in _TIME_CLAIMS else "token_invalid"
        raise SignOnError(fault, str(error.claim)) from error
    except (JoseError, ValueError, TypeError, OverflowError) as error:
        raise SignOnError("token_invalid", f"{error!s:.100}") from error


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) and value > 0 else None
    except (OverflowError, ValueError):
        return None  # a time beyond the year 9999


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
