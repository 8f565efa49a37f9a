"""What an identity provider publishes: its metadata (OpenID Connect Discovery 1.0) and its keys (RFC 7517)."""

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Literal, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from api.auth.oidc.sign_on_faults import SignOnError
from projections.config.url_validation import is_secure_url

KEPT_S: Final = 3_600.0
"""Seconds after which a document is fetched again; while the provider does not answer, the former one is used."""
NEW_KEYS_PAUSE_S: Final = 10.0
"""Shortest pause in seconds between two requests for keys: anyone can send a token that names an unknown one."""
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderResponse(Protocol):
    """What a provider answered."""

    @property
    def status(self) -> int:
        """Status of HTTP."""

    @property
    def body(self) -> bytes:
        """The body, bounded by the client."""


class AskProvider(Protocol):
    """Sends one request to the provider, for a bounded time."""

    def __call__(
        self, method: Literal["GET", "POST"], url: str, headers: Mapping[str, str], body: bytes | None
    ) -> ProviderResponse | None:
        """Return the response; None if there is none."""


class ProviderDocuments:
    """Fetches the documents when they are needed, and keeps them. Thread-safe.

    Args:
        issuer: URL of the provider.
        exchange: Sends requests.
        clock: Monotonic seconds.
    """

    def __init__(self, issuer: str, exchange: AskProvider, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._exchange = exchange
        self._clock = clock
        self._lock = threading.Lock()
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def read_metadata(self) -> Mapping[str, Any]:
        """Return what the provider says about itself.

        Raises:
            SignOnError: It does not answer and never did; or it is another provider, or not one that is safe to use.
        """
        with self._lock:
            cached, now = self._metadata, self._clock()
            if cached is not None and now - cached[0] < KEPT_S:
                return cached[1]
            try:
                fetched = self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            except SignOnError:
                if cached is None:
                    raise
                return cached[1]
            self._check(fetched)
            self._metadata = now, fetched
            return fetched

    def read_keys(self, *, is_one_missing: bool = False) -> KeySet:
        """Return the keys that the provider signs with.

        Args:
            is_one_missing: A token was signed with none of the cached keys: the provider may have new ones.

        Raises:
            SignOnError: As `read_metadata`.
        """
        url = str(self.read_metadata()["jwks_uri"])
        with self._lock:
            cached, now = self._keys, self._clock()
            if cached is not None and now - cached[0] < (NEW_KEYS_PAUSE_S if is_one_missing else KEPT_S):
                return cached[1]
            try:
                keys = _import_keys(self._fetch(url))
            except SignOnError:
                if cached is None:
                    raise
                return cached[1]
            self._keys = now, keys
            return keys

    def _fetch(self, url: str) -> Mapping[str, Any]:
        response = self._exchange("GET", url, {"Accept": "application/json"}, None)
        if response is None or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SignOnError("unreachable", f"{url} does not answer")
        document = read_object(response.body)
        if response.status != HTTPStatus.OK or document is None:
            raise SignOnError("misconfigured", f"{url} is no JSON document (status {response.status})")
        return document

    def _check(self, metadata: Mapping[str, Any]) -> None:
        if metadata.get("issuer") != self._issuer:  # Discovery 1.0, section 4.3: exactly the same
            raise SignOnError("misconfigured", f"the provider calls itself {metadata.get('issuer')!r:.200}")
        for name in ENDPOINTS:
            url = metadata.get(name)
            if not isinstance(url, str) or not is_secure_url(url):
                raise SignOnError("misconfigured", f"its {name} is not an https URL")


def read_object(body: bytes) -> Mapping[str, Any] | None:
    """Parse a JSON object; None if it is something else."""
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _import_keys(document: Mapping[str, Any]) -> KeySet:
    """Import the keys that sign; those of unknown types are left out, as RFC 7517, section 5 asks."""
    keys = []
    listed = document.get("keys")
    for key in listed if isinstance(listed, list) else []:
        try:
            if key.get("use", "sig") == "sig":
                keys += KeySet.import_key_set({"keys": [key]}).keys
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
    if not keys:
        raise SignOnError("misconfigured", "the provider publishes no key that the ledger can use")
    return KeySet(keys)
