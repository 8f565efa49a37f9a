"""A client that a public generator makes of the OpenAPI document works: it issues a code, redeems it, and reads on."""

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from clientele.cli import start_api

from domain.events.code_terms import TERM_NAMES
from tests.support.clients.app_client import AppClient

PACKAGE = "generated_client"


def generated(folder: Path, document: object) -> Path:
    """What clientele makes of a document, as a package below the folder."""
    source = folder / "openapi.json"
    source.write_text(json.dumps(document), encoding="utf-8")
    start_api.main(["-f", str(source), "-o", str(folder / PACKAGE)], standalone_mode=False)
    return folder / PACKAGE


@contextmanager
def imported(package: Path) -> Iterator[ModuleType]:
    """Its module of functions, with its connections closed afterwards."""
    sys.path.insert(0, str(package.parent))
    try:
        module = importlib.import_module(f"{PACKAGE}.client")
    finally:
        sys.path.remove(str(package.parent))
    with closing(module.client):
        yield module


def count_connections(url: str) -> int:
    """Count the established connections of this machine to a server on it."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(remote.endswith(f":{urlsplit(url).port:04X}") and state == "01" for _, _, remote, state, *_ in rows)


def test_a_generated_client_redeems_a_code(
    shared_app: AppClient, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue by key, redeem, look at the code, read the feed; a refusal is a problem with its code."""
    monkeypatch.setenv("BASE_URL", served)
    monkeypatch.setenv("HEADERS", json.dumps(shared_app.key("admin")))
    package = generated(tmp_path, shared_app.client.get("/api/v1/openapi.json").json())
    with imported(package) as client:
        _redeem_and_read(client, sys.modules[f"{PACKAGE}.schemas"])
        in_use = count_connections(served)

    assert in_use > 0
    assert count_connections(served) == 0


def _redeem_and_read(client: ModuleType, schemas: ModuleType) -> None:
    # This generator wants a value for each field that may be null.
    terms = {**dict.fromkeys(TERM_NAMES), "max_uses": 1}
    (issued,) = client.codes_issue(data=schemas.IssueRequest(count=1, note=None, campaign=None, **terms))
    request = schemas.RedeemRequest(email="li.wei@example.com", code=issued.code, again=None)
    first, again = client.redemptions_redeem_for(data=request), client.public_redeem(data=request)
    code = client.codes_one_code(code_id=issued.id)
    other = client.public_redeem(data=schemas.RedeemRequest(email="else@example.com", code=issued.code, again=None))
    feed = client.events_list_events(code_id=issued.id)
    listed = client.reservations_list_reservations(code_id=issued.id)

    assert (first.state, first.reservation_id) == ("reserved", again.reservation_id)
    assert (code.reserved, code.available) == (1, 0)
    assert other.code == "CODE_HELD"
    # What it calls the field depends on Python, of which `type` is a soft keyword from 3.12 on.
    assert [event.model_dump(by_alias=True)["type"] for event in feed.events] == ["CodeIssued", "UseReserved"]
    assert [listed_reservation.reservation_id for listed_reservation in listed.reservations] == [first.reservation_id]
