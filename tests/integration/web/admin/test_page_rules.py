"""Rules of every admin page: headers, size, nothing inline, nothing from elsewhere, every text there."""

import re
from pathlib import Path
from uuid import UUID

import pytest

from api.web.rendering import TEMPLATES
from api.web.security_headers import PAGE_POLICY
from api.web.static_files import STATIC
from tests.integration.web.admin.hand_outs.lists import upload as add_list
from tests.support.clients.admin_client import ask_for, ended, upload
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.page_budget import PAGE_BYTES_MAX


def test_every_page_is_small_and_bounded(app: AppClient, admin: StaffBrowser) -> None:
    batch = ended(app, ask_for(admin, count="60", max_uses="20", group="blue", note="why")).batch_id
    file = ended(app, upload(admin, b"code,max_uses\n" + b"OLD,0\n" * 60)).batch_id
    admin.submit("/admin/keys", name="shop", role="viewer", ends="never", nonce="0" * 32)
    hook = "0" * 31 + "1"
    admin.submit("/admin/webhooks", url="https://bi.example.com/in", concurrency="1", nonce=hook)
    campaign = "0" * 31 + "2"
    admin.submit("/admin/campaigns", name="Autumn", max_uses="9", nonce=campaign)
    ended(app, ask_for(admin, count="20", campaign=str(UUID(campaign))))
    hand_out = "0" * 31 + "3"
    admin.submit(f"/admin/campaigns/{campaign}/hand-outs", name="Readers", max_uses="1", nonce=hand_out)
    add_list(
        admin, f"/admin/hand-outs/{UUID(hand_out)}", b"email\n" + b"".join(b"p%d@example.com\n" % n for n in range(60))
    )
    admin.submit("/admin/groups/channel?name=blue", channel="webhook", channel_url="https://team.example.com/")
    pages = ["", "/batches", f"/batches/{batch}", f"/batches/{file}", f"/batches/{batch}/export", "/codes", "/import"]

    for path in [
        *pages,
        "/groups",
        "/groups/one?name=blue",
        "/keys",
        "/staff",
        "/nowhere",
        "/webhooks",
        f"/webhooks/{hook}",
        "/campaigns",
        f"/campaigns/{campaign}",
        f"/campaigns/{campaign}/end",
        f"/campaigns/{campaign}/balance",
        f"/campaigns/{campaign}/explain",
        f"/campaigns/{campaign}/events/1",
        f"/campaigns/{campaign}/hand-outs",
        f"/hand-outs/{hand_out}",
        f"/hand-outs/{hand_out}/end",
        f"/hand-outs/{hand_out}/export",
        f"/hand-outs/{hand_out}/change",
    ]:
        for language in ("en", "zh"):
            answer = admin._request("GET", f"/admin{path}", headers={"accept-language": language})
            files = {"guilloche.svg", *re.findall(r'(?:src|href)="/static/([\w.-]+)', answer.text)}
            assert len(answer.text.encode()) + sum((STATIC / name).stat().st_size for name in files) < PAGE_BYTES_MAX
            assert re.findall(r'(?:src|href|action)="(?:https?:)?//[^"]*', answer.text) == []
            assert answer.headers["content-security-policy"] == PAGE_POLICY
            assert answer.headers["cache-control"] == "no-store"
            assert read_page(answer.text).find("html").attributes["lang"] == {"en": "en", "zh": "zh-Hans"}[language]
            assert re.findall(r"page\.\w+\.[\w.]+", answer.text) == []


@pytest.mark.parametrize("template", sorted((TEMPLATES / "admin").glob("*.html")), ids=lambda path: path.name)
def test_nothing_is_inline(template: Path) -> None:
    """The policy would stop it: no style, no script, no handler in a template."""
    text = template.read_text("utf-8")

    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", text) == []
