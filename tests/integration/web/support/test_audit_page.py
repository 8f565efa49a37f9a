"""The audit log names who did what about whom, finds entries, and is exported with a reason."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from projections.repositories.audit_log import OPERATOR, AuditLog
from tests.support.clients.admin_client import secret_of
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of, read_audit_log

ADMIN = "admin@staff.example.com"
SignIn = Callable[..., StaffBrowser]


def entries_of(page: str) -> list[Element]:
    return [
        row for table in read_page(page).find_all("table", class_="list list-cards") for row in table.find_all("tr")[1:]
    ]


def rows_of(page: str) -> list[str]:
    return [row.text for row in entries_of(page)]


def table_of(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content)))


def make_key(admin: StaffBrowser, name: str) -> tuple[UUID, str]:
    """Create an API key of an admin; return its id and secret."""
    nonce = uuid4()
    page = admin.submit("/admin/keys", name=name, role="admin", ends="never", nonce=nonce.hex)
    return nonce, secret_of(page.text)


def test_entry_names_actor_and_subject_and_links_to_both(admin: StaffBrowser) -> None:
    """A revoked key is named, with the reason; an account in full, since only admins read the log."""
    key_id, _ = make_key(admin, "shop")
    admin.submit(f"/admin/keys/{key_id}/revoke", "/admin/keys", reason="leaked in a chat")

    page = admin.get("/support/audit").text

    newest = rows_of(page)[0]
    assert all(part in newest for part in ("revoked an API key", "API key shop", ADMIN, "leaked in a chat"))
    assert page.count("<bdi>shop</bdi>") == 2, "a name that is written from right to left changes no order around it"
    links = set(entries_of(page)[0].link_targets)
    assert f"/support/audit?about={key_id}" in links
    assert f"/admin/keys/{key_id}" in links
    assert any(link.startswith("/support/audit?who=") for link in links)


@pytest.mark.usefixtures("own_app")
def test_filters_find_entries_by_actor_action_subject_and_time(app: AppClient, admin: StaffBrowser) -> None:
    key_id, secret = make_key(admin, "robot")
    headers = {"authorization": f"Bearer {secret}"}
    app.client.put("/api/v1/channels", json={"group": "VIP", "url": "https://team.example.com/in"}, headers=headers)
    now = app.services.now()
    AuditLog(app.services.storage, OPERATOR, now, uuid4).record("made_backup")

    def list_rows(query: str) -> list[str]:
        return rows_of(admin.get(f"/support/audit?{query}").text)

    by_key, by_operator = list_rows(f"who={key_id}"), list_rows("who=operator")
    about_key, keys_made = list_rows(f"about={key_id}"), list_rows("action=made_key")
    later = (now + timedelta(hours=1)).isoformat()

    assert [("changed a group" in row, "API key robot" in row) for row in by_key] == [(True, True)]
    assert ["took a backup" in row for row in by_operator] == [True]
    assert [("created an API key" in row, "name: robot" in row) for row in about_key] == [(True, True)]
    assert ["name: robot" in row for row in keys_made] == [True]
    assert list_rows(f"action=made_key&until={later}".replace("+", "%2B")) == keys_made
    assert "No entries match" in admin.get("/support/audit", since=later).text
    assert "No entries match" in admin.get("/support/audit", who=str(uuid4())).text


@pytest.mark.usefixtures("own_app")
def test_export_holds_the_filtered_entries_and_is_an_entry_itself(admin: StaffBrowser) -> None:
    key_id, _ = make_key(admin, "=cmd")
    path = "/support/audit/export?action=made_key"

    refused = admin.submit(path, path, reason="  ")
    answer = admin.submit(path, path, reason="yearly audit")

    assert refused.status_code == 422
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = table_of(answer.text)
    assert (row["actor_kind"], row["actor"], row["action"]) == ("staff", ADMIN, "made_key")
    assert (row["subject_kind"], row["subject"], row["subject_id"]) == ("key", "'=cmd", str(key_id))
    newest = rows_of(admin.get("/support/audit").text)[0]
    assert "exported the audit log" in newest
    assert "yearly audit; action: created an API key" in newest


def test_details_name_keys_and_colleagues_and_link_to_the_page_of_a_colleague(admin: StaffBrowser) -> None:
    key_id, _ = make_key(admin, "shop")
    nonce = uuid4()
    form = {"ends": "90", "overlap_hours": "24", "nonce": nonce.hex}
    admin.submit(f"/admin/keys/{key_id}/replace", **form)
    replaced = admin.get("/support/audit").text
    by = next(link for link in read_page(replaced).link_targets if link.startswith("/support/audit?who="))
    admin_id = by.partition("=")[2].partition("&")[0]
    path = f"/support/audit/export?who={admin_id}"
    admin.submit(path, path, reason="yearly audit")
    location = admin.submit("/admin/staff", email="mei@staff.example.com", role="viewer").headers["location"]
    member = location.partition("?")[0]
    listed = read_audit_log(admin)
    admin.submit(f"{member}/remove", member, reason="left")
    after = entries_of(admin.get("/support/audit").text)[0]

    text = read_page(listed).text
    assert f"by: shop ({str(nonce)[:8]})" in text
    assert f"replaces: shop ({str(key_id)[:8]})" in text
    assert f"actor: {ADMIN}" in text
    assert not any(str(each) in text for each in (nonce, key_id, admin_id))
    assert member in entries_of(listed)[0].link_targets
    assert "/admin/staff" in after.link_targets
    assert member not in after.link_targets


def test_history_shows_staff_in_full_to_admins_only(app: AppClient, sign_in: SignIn, admin: StaffBrowser) -> None:
    """Everyone else sees enough to recognize a colleague."""
    code_id = code_id_of(app, app.issue())
    admin.submit(
        f"/support/codes/{code_id}/acts/pause", f"/support/codes/{code_id}/acts/pause", note="asked", nonce="n"
    )

    for_admin, for_viewer = (browser.get(f"/support/codes/{code_id}").text for browser in (admin, sign_in("viewer")))

    assert ADMIN in read_page(for_admin).find("main").text
    assert ADMIN not in for_viewer
    assert "a***@staff.example.com" in for_viewer


@pytest.mark.parametrize(
    "path", ["/admin/keys/{key}/revoke", "/admin/staff/{staff}/remove", "/admin/staff/{staff}/password"]
)
def test_irreversible_actions_ask_first(admin: StaffBrowser, path: str) -> None:
    key_id, _ = make_key(admin, "shop")
    admin.submit("/admin/staff", email="mei@staff.example.com", role="viewer")
    (row,) = (row for row in read_page(admin.get("/admin/staff").text).rows if "mei@" in row.text)
    url = path.format(key=key_id, staff=row.link_targets[0].split("/")[3])

    before = rows_of(admin.get("/support/audit").text)
    question = admin.get(url)
    refused = admin.submit(url, url, reason="")

    assert question.status_code == 200
    assert ("mei@staff.example.com" if "staff" in path else "shop") in question.text
    assert refused.status_code == 422
    assert rows_of(admin.get("/support/audit").text) == before


def test_removed_endpoint_has_no_page_to_link_to(app: AppClient, admin: StaffBrowser) -> None:
    headers, url = app.key("admin"), "https://bi.example.com/in"
    endpoint = app.client.post("/api/v1/webhooks", json={"url": url}, headers=headers).json()["id"]
    app.client.delete(f"/api/v1/webhooks/{endpoint}", headers=headers)

    newest = entries_of(admin.get("/support/audit").text)[0]

    assert f"/admin/webhooks/{endpoint}" not in newest.link_targets
    assert url in newest.text


def test_page_leads_to_the_histories_that_hold_changes_of_campaigns_and_hand_outs(
    app: AppClient, admin: StaffBrowser
) -> None:
    """These are events without an entry; a hand-out's are in the history of its campaign."""
    headers = app.key("admin")
    campaign = app.client.post("/api/v1/campaigns", json={"name": "Spring"}, headers=headers).json()["id"]
    order = {"campaign": campaign, "name": "Newsletter"}
    hand_out = app.client.post("/api/v1/hand-outs", json=order, headers=headers).json()["id"]
    app.client.post(f"/api/v1/campaigns/{campaign}/end", headers=headers)
    history = f"/admin/campaigns/{campaign}"

    page = read_page(admin.get("/support/audit").text).find("main")
    about = read_page(admin.get(f"/support/audit?about={campaign}").text).find("main").text
    leads = [
        [link for link in read_page(admin.get(f"/support/audit?about={each}").text).link_targets if "#events" in link]
        for each in (campaign, hand_out)
    ]

    assert "Changes of codes, campaigns and hand-outs are not listed here" in page.text
    assert "Only entries about: campaign Spring Its history" in about
    assert {"/admin/codes", "/admin/campaigns"} <= set(page.link_targets)
    assert leads == [[f"{history}#events"], [f"{history}#events"]]
    assert "campaign ended" in read_page(admin.get(history).text).find("main").text


def test_filter_says_that_its_times_are_reversed(admin: StaffBrowser) -> None:
    """An empty list would be no answer."""
    early, late = "2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z"
    reversed_pages = [
        admin.get(path, since=since, until=until).text
        for path, since, until in (
            ("/support/audit", late, early),
            ("/admin/codes", late[:10], early[:10]),
            ("/support/audit", early, late),
            ("/admin/codes", early[:10], early[:10]),
        )
    ]

    assert ["“From” must be before “To”" in page for page in reversed_pages] == [True, True, False, False]


def test_reason_that_is_too_long_is_refused_instead_of_cut(admin: StaffBrowser) -> None:
    """The whole text stays in the form, so that nothing typed is lost."""
    path, reason = "/support/audit/export", "because " * 80
    asked, answer = admin.get(path), admin.submit(path, path, reason=reason)

    assert "maxlength" not in read_page(asked.text).find("textarea").attributes
    assert answer.status_code == 422
    assert "The reason may have at most 500 characters" in answer.text
    assert read_page(answer.text).find("textarea").text == reason.strip()
