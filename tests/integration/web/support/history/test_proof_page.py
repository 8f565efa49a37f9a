"""The routes behind the proofs of a page: which events are signed, and what a receipt is given for."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta

import pytest

from projections.transparency_log.checkpoints import derive_public_keys, derive_signing_key, sign_head
from projections.transparency_log.line_proofs import EVENTS_COUNTED_MAX, SigningProgress
from projections.transparency_log.proof_check import check_proof
from projections.transparency_log.tile_log import append_new_events
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of

SignIn = Callable[..., StaffBrowser]


@pytest.mark.usefixtures("own_app")
def test_proofs_and_receipt_follow_the_checkpoints(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    reservation_id = app.redeem(code, "li.wei@example.com").json()["reservation_id"]
    browser, storage = sign_in("viewer"), app.services.storage
    proofs, page = f"/support/codes/{code_id_of(app, code)}/proofs", f"/support/reservations/{reservation_id}"
    ring = storage.vault.rings["master"]

    def count_ticks() -> dict[str, int]:
        ticks = read_page(browser.get(page).text).find_all("a", href="#proof")
        states = [tick.attributes["data-proof"] for tick in ticks]
        return {state: states.count(state) for state in states}

    assert browser.get(f"{proofs}?versions=1,2").json() == {
        "checkpoint": None,
        "stream": str(code_id_of(app, code)),
        "events": [],
    }
    assert "No checkpoint is signed yet" in browser.get(page).text
    assert browser.get(f"{page}/receipt").status_code == 404
    with storage.datastore.get_connection() as conn:
        append_new_events(conn)
        sign_head(conn, derive_signing_key(ring), app.services.now() + timedelta(minutes=1))
    signed = browser.get(f"{proofs}?versions=1,2,3").json()
    receipt = browser.get(f"{page}/receipt")
    app.attempt(reservation_id)

    assert [version for version, *_ in signed["events"]] == [1, 2]
    assert signed["checkpoint"]["public_key"] == b64encode(derive_public_keys(ring)[0]).decode()
    assert reservation_id in check_proof(json.dumps(receipt.json()), derive_public_keys(ring)[0])
    assert receipt.headers["content-disposition"] == f'attachment; filename="receipt-{reservation_id}.json"'
    assert count_ticks() == {"signed": 1, "pending": 2}
    assert "Not yet proven; events behind: 2" in browser.get(page).text
    assert browser.get(f"{page}/receipt").status_code == 404
    malformed = ["x", "1,", ",".join(["1"] * 101), "9" * 30]
    assert [browser.get(f"{proofs}?versions={versions}").status_code for versions in malformed] == [422] * 4


def test_signing_progress_says_where_its_count_ends() -> None:
    """A page counts no more than it needs to show that signing is far behind."""
    assert SigningProgress(None, EVENTS_COUNTED_MAX).is_count_cut
    assert not SigningProgress(None, 3).is_count_cut
    assert not SigningProgress(None, 3).covers(1)
