"""Asking a ledger everything that it can be asked: each read operation, each page, each command that looks."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from html import unescape
from typing import Any, Final, get_args
from uuid import UUID, uuid4

from fastapi.routing import iter_route_contexts

from api.auth.session_cookies import COOKIE
from api.web.support.actions.action_forms import CodeAction, ReservationAction
from tests.extremes.openapi_fields import DocumentedOperation, operations
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.role_clients import RoleClients
from tests.support.clients.terminal import CommandResult, Terminal

ENDLESS: Final = ("/stream", "/metrics", "/mailbox", "/static")
ASKED_ABOUT_MAX: Final = 40
PAGES_MAX: Final = 300
"""Pages of one list that are followed."""
NOTHING: Final = UUID(int=7)


@dataclass(frozen=True)
class LedgerAsker:
    app: AppClient
    role_clients: RoleClients

    @property
    def document(self) -> Mapping[str, Any]:
        document: Mapping[str, Any] = self.app.client.get("/api/v1/openapi.json").json()
        return document

    @cached_property
    def campaign_id(self) -> str:
        keys, terms = self.role_clients.keys["admin"], {"name": "Autumn", "max_uses": 9, "max_per_person": 9}
        return str(self.role_clients.ask("POST", "/api/v1/campaigns", headers=keys, json=terms).json()["id"])

    @cached_property
    def hand_out_id(self) -> str:
        keys, order = self.role_clients.keys["admin"], {"name": "Letter", "campaign": self.campaign_id}
        return str(self.role_clients.ask("POST", "/api/v1/hand-outs", headers=keys, json=order).json()["id"])

    def values(self, code_id: object = NOTHING, reservation_id: object = NOTHING) -> dict[str, object]:
        """What stands for the parameters of paths, and for fields of bodies, by name."""
        named = (
            *("recipient_id", "endpoint_id", "delivery_id", "channel_id", "batch_id", "key_id", "search_id"),
            *("approval_id", "step_id", "factor_id"),
        )
        ids = dict.fromkeys(named, NOTHING)
        words: dict[str, object] = {"email": "li.wei@example.com", "code": "NO-SUCH-CODE", "note": "n", "reason": "r"}
        group: dict[str, object] = {"group": "blue", "url": "https://hooks.example.com/"}
        paths: dict[str, object] = {
            "digest": "0" * 64,
            "version": 1,
            "name": "InviteSent",
            "staff_id": self.role_clients.staff["admin"],
        }
        paths |= {"subject": "people", "subject_id": NOTHING, "place_id": NOTHING}
        about: dict[str, object] = {"code_id": code_id, "reservation_id": reservation_id}
        about |= {
            "campaign_id": self.campaign_id,
            "hand_out_id": self.hand_out_id,
            "action": "pause",
            "change": "pause",
        }
        about |= {"campaign": self.campaign_id, "hand_out": self.hand_out_id}
        return {**ids, **words, **group, **paths, **about, "token": "x", "key": "x", "language": "en", "_path": "x"}

    def call(self, operation: DocumentedOperation, **more: Any) -> AppResponse:
        headers = {
            **self.role_clients.keys["admin"],
            "if-match": "*",
            "accept-language": "en",
            **more.pop("headers", {}),
        }
        headers |= {"content-type": "application/json"} if "content" in more else {}
        return self.role_clients.ask(operation.method, operation.address(), headers=headers, **more)

    def page(self, path: str, **params: object) -> AppResponse:
        cookie = self.role_clients.cookie(self.role_clients.staff["admin"])
        headers = {"accept": "text/html", "accept-language": "en", "cookie": f"{COOKIE}={cookie}"}
        return self.role_clients.ask("GET", path, headers=headers, params=params or None)

    def send_form(self, path: str, form: Mapping[str, str]) -> AppResponse:
        cookie = self.role_clients.cookie(self.role_clients.staff["admin"])
        headers = {"accept": "text/html", "accept-language": "en", "cookie": f"{COOKIE}={cookie}"}
        return self.role_clients.ask(
            "POST", path, headers=headers, data={**form, "token": self.role_clients.form_token(cookie)}
        )

    def fill_in(self, form: "Form", name: str, typed: str) -> AppResponse:
        filled = {**form.fields, name: typed}
        if form.method == "GET":
            return self.page(form.path.partition("?")[0], **{key: value for key, value in filled.items() if value})
        return self.send_form(form.path, filled)

    def codes(self) -> list[UUID]:
        return [row["code_id"] for row in self._rows("SELECT code_id FROM code_balances ORDER BY issued_at, code_id")]

    def codes_asked_about(self) -> list[UUID]:
        """Those that are asked about one by one: with most to tell, and one of those that a request issued alike."""
        query = (
            "SELECT code_id FROM ("
            "SELECT DISTINCT ON (max_uses, expires_at, starts_at, validity_days, group_name, version) *"
            " FROM code_balances"
            " ORDER BY max_uses, expires_at, starts_at, validity_days, group_name, version, code_id) AS different"
            " ORDER BY expires_at IS NULL, version DESC, code_id LIMIT %s"
        )
        return [row["code_id"] for row in self._rows(query, ASKED_ABOUT_MAX)]

    def reservations(self) -> list[UUID]:
        return [row["reservation_id"] for row in self._rows("SELECT reservation_id FROM reservations")]

    def broken_reads(self) -> list[tuple[str, int]]:
        """Every read operation of the API about every code and reservation: those that failed."""
        broken: list[tuple[str, int]] = []
        for one in operations(self.document, {}):
            if one.method == "GET" and _ends(one.path):
                for values in self._about(one.path):
                    broken += self._broken(replace(one, values=values))
        return broken

    def broken_pages(self) -> list[tuple[str, int]]:
        broken = [failure for path in self.pages() for failure in self._broken_page(path)]
        for code_id in self.codes_asked_about():
            for version in self._versions(code_id):
                broken += self._broken_page(f"/support/codes/{code_id}/events/{version}")
                at_event = self.page(f"/support/codes/{code_id}", at_event=version)
                broken += self._broken_page(f"/support/codes/{code_id}{at_event.headers['location']}")
        return broken

    def pages(self) -> Iterator[str]:
        """The addresses of all pages, found among the routes, about every code and reservation."""
        paths = {
            (route.path or "").replace(":path}", "}")
            for route in iter_route_contexts(self.app.client.app.routes)  # type: ignore[attr-defined]  # any ASGI app
            if "GET" in (getattr(route, "methods", None) or ())
        }
        for path in sorted(paths):
            if not path.startswith("/api/") and _ends(path):
                for values in self._about(path):
                    yield path.format_map({name: str(value) for name, value in values.items()})

    def _broken_page(self, path: str) -> list[tuple[str, int]]:
        answer = self.page(path)
        return [] if answer.status_code < 500 else [(path, answer.status_code)]

    def _broken(self, operation: DocumentedOperation) -> list[tuple[str, int]]:
        names = {one["name"] for one in operation.raw.get("parameters", ())}
        broken: list[tuple[str, int]] = []
        for form in ("json", "csv") if "format" in names else ("json",):
            query = {name: value for name, value in (("format", form), ("limit", "3")) if name in names}
            query |= {"limit": "1000"} if "after" in names and "limit" in names else {}
            for _ in range(PAGES_MAX):
                answer = self.call(operation, params=query)
                if answer.status_code >= 500:
                    broken.append((f"{operation.address()} {query}", answer.status_code))
                cursor = answer.json().get("next") if "cursor" in names and answer.status_code == 200 else None
                if cursor is None:
                    break
                query["cursor"] = cursor
        return broken

    def _about(self, path: str) -> Iterator[dict[str, object]]:
        """What a path's parameters are to be: each code or reservation, if it is about one."""
        if "{code_id}" in path:
            actions: tuple[str, ...] = get_args(CodeAction)
            candidates = [self.values(code_id=code_id) for code_id in self.codes_asked_about()]
        elif "{reservation_id}" in path:
            actions = get_args(ReservationAction)
            candidates = [self.values(reservation_id=reservation_id) for reservation_id in self.reservations()]
        else:
            actions, candidates = (), [self.values()]
        for values in candidates:
            yield from ({**values, "act": action} for action in (actions if "{act}" in path else ("",)))

    def _versions(self, code_id: UUID) -> list[int]:
        query = "SELECT originator_version AS version FROM ledger_events WHERE originator_id = %s"
        return [row["version"] for row in self._rows(query, code_id)]

    def _rows(self, query: str, *params: object) -> list[dict[str, Any]]:
        with self.app.services.storage.datastore.get_connection() as conn:
            return conn.execute(query.encode(), params).fetchall()


def looked(terminal: Terminal, codes: list[UUID], folder: Any) -> Iterator[CommandResult]:  # noqa: ANN401 - a folder of pytest's
    for code_id in codes:
        for command in ("history", "explain"):
            yield terminal.ledger(command, str(code_id))
            yield terminal.ledger(command, str(code_id), "--json")
    for what in ("codes", "reservations", "events", "statements", "vault"):
        yield terminal.ledger("export", what, "--output", str(folder / f"{what}-{uuid4().hex}"))
    for words in (("rebuild",), ("verify",), ("cases",), ("key", "list"), ("staff", "list")):
        yield terminal.ledger(*words)
    yield terminal.ledger("export", "person", "li.wei@example.com")
    yield terminal.ledger("refund-outage", "--from", "2000-01-01", "--to", "8999-12-31", "--include-sent")


@dataclass(frozen=True)
class Form:
    """A form of a page: how and where it goes, and every named field with what it holds."""

    method: str
    path: str
    fields: dict[str, str]

    @property
    def key(self) -> str:
        """The same for forms that differ in what they hold alone."""
        return f"{self.method} {self.path} {sorted(self.fields)}"


def forms_of(page: str, text: str) -> Iterator[Form]:
    for attributes, inside in re.findall(r"<form\b([^>]*)>(.*?)</form>", text, re.DOTALL):
        method, action = (_attribute(attributes, "method") or "get").upper(), _attribute(attributes, "action")
        fields: dict[str, str] = {}
        for tag, inner in re.findall(r"<(?:input|select|textarea)\b([^>]*)>([^<]*)", inside):
            if (name := _attribute(tag, "name")) and _attribute(tag, "type") not in {"file", "submit"}:
                fields.setdefault(name, _attribute(tag, "value") or unescape(inner).strip())
        path = (action or page).partition("#")[0]
        if not path.endswith("/sign-out"):
            yield Form(method, path, fields)


def _attribute(tag: str, name: str) -> str | None:
    match = re.search(rf'\b{name}="([^"]*)"', tag)
    return unescape(match[1]) if match else None


def _ends(path: str) -> bool:
    return not any(part in path for part in ENDLESS)
