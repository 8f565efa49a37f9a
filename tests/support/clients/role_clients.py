"""Ways into the application, by role: API keys, and sessions that begin without their sign-in."""

from datetime import timedelta
from typing import Any, Literal, cast
from uuid import UUID, uuid4

from api.auth.scopes import Scope
from api.auth.session_cookies import COOKIE, digest_of, form_token
from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key
from api.use_cases.services import Caller
from api.web.staff_auth.context import SupportContext
from api.web.staff_auth.sessions import new_token
from projections.repositories.staff_sessions import NewSession, Proof
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.staff_browser import add_staff

ROLES = ("viewer", "support", "admin")
Who = Literal["anyone", "viewer", "support", "admin"]


class RoleClients:
    def __init__(self, app: AppClient) -> None:
        self.app = app
        self.keys = {role: app.key(role) for role in ROLES}
        self.staff = {role: add_staff(app, f"{role}@staff.example.com", role, "not used here") for role in ROLES}

    @property
    def support(self) -> SupportContext:
        support: SupportContext = self.app.client.app.state.support  # type: ignore[attr-defined]  # the client knows it as any ASGI app
        return support

    def cookie(self, staff_id: UUID, *, age_s: float = 0) -> str:
        """A new session of a member of staff whose proof is of this age in seconds."""
        token, now = new_token(), self.app.services.now()
        proof = Proof("password", now - timedelta(seconds=age_s))
        session = NewSession(digest_of(token), now + timedelta(hours=1), proof=proof)
        self.support.sessions.insert(session, staff_id, now)
        return token

    def key_with(self, scope: Scope) -> dict[str, str]:
        """Headers with a new key of one scope."""
        services, request = self.app.services, ApiKeyRequest(scope, None, (scope,), None)
        secret = create_api_key(services.open_audit_log(Caller(actor="operator")), request, uuid4())
        return {"Authorization": f"Bearer {secret}"}

    def form_token(self, cookie: str) -> str:
        return form_token(self.support.secret, cookie)

    def by_key(self, who: Who, method: str, path: str) -> AppResponse:
        headers = {} if who == "anyone" else self.keys[who]
        return self.ask(method, path, headers=headers, json={})

    def by_session(self, who: Who, method: str, path: str, *, with_token: bool = True) -> AppResponse:
        """Ask as a browser with or without a signed-in account; a form carries its token."""
        headers = {"accept": "text/html", "accept-language": "en"}
        if who == "anyone":
            return self.ask(method, path, headers=headers)
        cookie = self.cookie(self.staff[who])
        form = {"token": self.form_token(cookie)} if with_token else {}
        more: dict[str, Any] = {} if method == "GET" else {"data": form}
        return self.ask(method, path, headers={**headers, "cookie": f"{COOKIE}={cookie}"}, **more)

    def ask(self, method: str, path: str, **more: Any) -> AppResponse:
        """One request, with nothing kept from the one before."""
        self.app.client.cookies.clear()
        return cast("AppResponse", self.app.client.request(method, path, follow_redirects=False, **more))
