"""An identity provider as tests need it: it signs in whom a test names, and says what a test makes it say."""

import base64
import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import orjson
from joserfc import jwt
from joserfc.jwk import Key, RSAKey

from api.auth.oidc.identity_provider import LOGOUT_EVENT

SECRET = "not secret at all"
"""The secret of the client `ledger`."""


class ScriptedProvider:
    """A provider on a free port of this machine.

    Attributes:
        change: Changes the claims of the next tokens.
        sign: Makes a token of claims.
        answer: What it answers to a path instead of all else: a status and a body; None as usual.
        asked: Paths that were asked for, oldest first.
        now: Seconds of its clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.key: Key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.now = now
        self.change: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
        self.sign: Callable[[dict[str, Any]], str] = self.sign_as_usual
        self.answer: Callable[[str], tuple[int, bytes] | None] = lambda _path: None
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, Any]] = {}
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sign_in(self, location: str, **claims: object) -> str:
        """Do what a person does at the provider; return the path that their browser goes back to."""
        asked = dict(parse_qsl(urlsplit(location).query))
        code = f"code-{len(self._codes)}"
        self._codes[code] = {**asked, "claims": claims}
        return f"{urlsplit(asked['redirect_uri']).path}?{urlencode({'code': code, 'state': asked['state']})}"

    def sign_as_usual(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def logout_token(self, **claims: object) -> str:
        usual = {
            "iss": self.url,
            "aud": "ledger",
            "iat": int(self.now()),
            "jti": "1",
            "events": {LOGOUT_EVENT: {}},
        }
        return self.sign_as_usual({**usual, **claims})

    def rotate_key(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"})

    def respond(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, object]:
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/keys",
            }
        if path == "/keys":
            return 200, {"keys": [{"kty": "unknown"}, self.key.as_dict(private=False)]}
        if path == "/userinfo":
            begun = self._codes[headers["authorization"].removeprefix("Bearer token-of-")]
            return 200, begun["claims"].get("userinfo", {})
        return self._respond_with_tokens({name: values[0] for name, values in parse_qs(body.decode()).items()}, headers)

    def _respond_with_tokens(self, form: dict[str, str], headers: dict[str, str]) -> tuple[int, object]:
        if headers.get("authorization") != "Basic " + base64.b64encode(f"ledger:{SECRET}".encode()).decode():
            return 401, {"error": "invalid_client"}
        begun = self._codes.get(form["code"], {})
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if begun.get("is_used") or begun.get("code_challenge") != challenge.decode():
            return 400, {"error": "invalid_grant"}
        begun["is_used"] = True
        claims = {name: value for name, value in begun["claims"].items() if name != "userinfo"}
        now = int(self.now())
        usual = {"iss": self.url, "aud": "ledger", "iat": now, "exp": now + 300, "nonce": begun["nonce"], **claims}
        id_token = self.sign(self.change(usual))
        return 200, {"access_token": f"token-of-{form['code']}", "token_type": "Bearer", "id_token": id_token}


class _Handler(BaseHTTPRequestHandler):
    provider: ScriptedProvider

    def do_GET(self) -> None:
        self._respond(b"")

    def do_POST(self) -> None:
        self._respond(self.rfile.read(int(self.headers["content-length"])))

    def log_message(self, *_arguments: object) -> None: ...

    def _respond(self, body: bytes) -> None:
        self.provider.asked.append(self.path)
        status, answer = self.provider.answer(self.path) or self.provider.respond(
            self.path, body, {name.lower(): value for name, value in self.headers.items()}
        )
        raw = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
