"""Export of the recipients of a hand-out: the audit log has its reason before the first address is read."""

from typing import Any

from projections.repositories.audit_reader import AuditReader
from tests.support.clients.app_client import AppClient

REASON = "list for the newsletter"


def test_export_without_a_reason_is_refused_and_with_one_is_recorded(app: AppClient) -> None:
    """A body that is left out, as by clients that are older than the reason, is named in the problem."""
    admin = app.key("admin")
    campaign = app.client.post("/api/v1/campaigns", json={"name": "Autumn"}, headers=admin).json()["id"]
    hand_out = {"campaign": campaign, "name": "Newsletter"}
    path = f"/api/v1/hand-outs/{app.client.post('/api/v1/hand-outs', json=hand_out, headers=admin).json()['id']}/export"
    without: list[dict[str, Any]] = [{}, {"json": {}}, {"json": {"reason": " "}}]

    refused = [app.client.post(path, headers=admin, **body) for body in without]
    before = app.count("audit")
    exported = app.client.post(path, json={"reason": REASON}, headers=admin)
    newest = AuditReader(app.services.storage).list_page(1)[0]

    assert [(answer.status_code, answer.json()["errors"][0]["where"]) for answer in refused] == [
        *((422, "body"), (422, "body.reason"), (422, "body.reason"))
    ]
    assert before == 0
    assert exported.text.startswith("email,language,state,")
    assert (newest.action, newest.reason) == ("exported_emails", REASON)
