"""People who redeem codes through nginx, patiently, and what was promised to them."""

import http.client
import itertools
import json
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance_compose.compose import Compose, wait

TIMEOUT_S = 15.0
PAUSE_S = 0.2
PATIENCE_S = 180.0
ACKNOWLEDGED = (200, 202)


class RequestResult:
    """Of one request; status 0 if no answer came."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.body))
        except ValueError:
            return {}


def ask(port: int, method: str, path: str, document: object = None, **headers: str) -> RequestResult:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        body = None if document is None else json.dumps(document).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Content-Type": "application/json", "Accept-Language": "zh-CN", **sent})
        response = connection.getresponse()
        response_headers = {name.lower(): value for name, value in response.getheaders()}
        return RequestResult(response.status, response_headers, response.read())
    except (OSError, http.client.HTTPException):
        return RequestResult(0, {}, b"")
    finally:
        connection.close()


@dataclass
class RedeemRecord:
    """Everybody who redeemed, and what they were promised."""

    compose: Compose
    promised: dict[str, str] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _group: str = field(default_factory=lambda: secrets.token_hex(4))

    def next(self) -> str:
        return f"person{next(self._numbers)}@{self._group}.example.com"

    def click(self, code: str, person: str) -> RequestResult:
        """One click; what is acknowledged is kept as a promise."""
        answer = ask(self.compose.port, "POST", "/api/v1/public/redeem", {"email": person, "code": code})
        if answer.status in ACKNOWLEDGED:
            self.promised[person] = answer.json()["reservation_id"]
        return answer

    def click_patiently(self, code: str) -> tuple[str, int]:
        """Send redeem requests until one is accepted; return its recipient and the number of failures."""
        person, fails = self.next(), itertools.count()
        wait(lambda: self.click(code, person).status in ACKNOWLEDGED or next(fails) < 0, PATIENCE_S, "a click is taken")
        return person, next(fails)

    def states(self) -> dict[str, str]:
        return {person: self._state(reservation_id) for person, reservation_id in self.promised.items()}

    def all_are_served(self) -> bool:
        """Whether each has their invitation, and no more than one."""
        mails = [mail["to"] for mail in self.compose.mails()]
        return set(self.states().values()) <= {"sent"} and all(mails.count(person) == 1 for person in self.promised)

    def _state(self, reservation_id: str) -> str:
        return str(ask(self.compose.port, "GET", f"/api/v1/public/redemptions/{reservation_id}").json().get("state"))


class Traffic:
    """People who click one after the other, in a thread, until told to stop."""

    def __init__(self, people: RedeemRecord, code: str) -> None:
        self._people, self._code = people, code
        self._ending = threading.Event()
        self.waited = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            self.waited += self._people.click_patiently(self._code)[1] > 0
            self._ending.wait(PAUSE_S)
