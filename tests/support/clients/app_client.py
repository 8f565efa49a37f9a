"""Short ways to use the API in tests."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, cast
from uuid import UUID, uuid4

from fastapi.testclient import TestClient
from msgspec import structs

from api.use_cases.issue_codes import CodeTemplate, issue_codes
from api.use_cases.services import Services
from domain.commands.context import CommandContext
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.commands.delivery.record_outcome import RecordOutcome
from domain.ports import Accepted, Outcome, Rejected
from projections.sql.repositories import RepositoriesSql
from tests.support.ledger.code_template import make_template

SENT = Accepted(server="mx:25", reply_code=250)
ACCEPTED = 202


class AppResponse(Protocol):
    status_code: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the body holds
        ...


@dataclass
class AppClient:
    client: TestClient
    services: Services
    tokens: dict[str, str] = field(default_factory=dict)
    """Correction tokens by reservation, as a client that redeems keeps them."""

    def issue(self, terms: CodeTemplate | None = None) -> str:
        context = CommandContext(now=self.services.now(), actor="operator")
        terms = terms or make_template(max_uses=1)
        return issue_codes(self.services.storage, terms, 1, context, uuid4, random.SystemRandom())[0].text

    def redeem(self, code: str, email: str = "li.wei@example.com", **more: Any) -> AppResponse:
        """POST /redeem; `headers` go to the request, all else into the body."""
        headers = more.pop("headers", {})
        body = {"email": email, "code": code, **more}
        return self.keep(cast("AppResponse", self.client.post("/api/v1/public/redeem", json=body, headers=headers)))

    def keep(self, answer: AppResponse) -> AppResponse:
        """Keep the correction token of a new reservation."""
        if answer.status_code == ACCEPTED:
            body = answer.json()
            self.tokens[body["reservation_id"]] = body["correction_token"]
        return answer

    def correct(self, reservation_id: str, *, token: str | None = None, **body: str) -> AppResponse:
        """POST /correct-recipient by the client that made the reservation, unless another token is named."""
        shown = {**body, "correction_token": self.tokens.get(reservation_id) if token is None else token}
        path = f"/api/v1/public/redemptions/{reservation_id}/correct-recipient"
        return self.keep(cast("AppResponse", self.client.post(path, json=shown)))

    def attempt(self, reservation_id: str, outcome: Outcome = SENT, *, ms_ago: tuple[int, ...] = ()) -> None:
        """What a worker does with a reservation, and what it measured."""
        reservation_key = UUID(reservation_id)
        context = CommandContext(now=self.services.now(), actor="worker", actor_id="w1", request_id="t1")
        ledger = self.services.storage.ledger
        ledger.execute([ClaimAttempt(context=context, reservation_id=reservation_key, channel="smtp", case_id=uuid4())])
        ended = structs.replace(context, now=context.now + timedelta(milliseconds=max(ms_ago, default=0)))
        words = outcome.reply if isinstance(outcome, Rejected) else None
        ledger.execute(
            [
                RecordOutcome(
                    context=ended,
                    reservation_id=reservation_key,
                    delivery=1,
                    attempt=1,
                    outcome=outcome,
                    case_id=uuid4(),
                    reply=self.services.storage.vault.seal_text(words, uuid4(), reservation_key) if words else None,
                    ms_ago=ms_ago,
                )
            ]
        )

    def key(self, role: str) -> dict[str, str]:
        """Headers with a new key of a role."""
        secret = f"key-{uuid4()}"
        digest = hashlib.sha256(secret.encode()).digest()
        with self.services.storage.datastore.get_connection() as conn:
            conn.execute(RepositoriesSql.insert_api_key, (uuid4(), digest, role, self.services.now()))
        return {"Authorization": f"Bearer {secret}"}

    def count(self, table: str) -> int:
        with self.services.storage.datastore.get_connection() as conn:
            row = conn.execute(f"SELECT count(*) AS n FROM {table}".encode()).fetchone()  # noqa: S608 - names from tests
        assert row is not None
        return int(row["n"])
