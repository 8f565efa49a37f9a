"""The TypeScript client as users install it: its package in an empty project runs the guide against a served API."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.contracts.clients import node_programs
from tests.contracts.clients.planted_world import serve_app
from tests.contracts.clients.strict_decoder import Document
from tests.packaging.build_clients import build_typescript_client
from tests.packaging.build_release import ROOT
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.slow

GUIDE = ROOT / "docs" / "how-to" / "call-the-api.md"
EXAMPLE = re.compile(r"```ts\n(.*?)```\s+```text\n(.*?)```", re.DOTALL)
OPTIONS = ("--strict", "--module", "nodenext", "--target", "es2022", "--noUncheckedIndexedAccess", "--types", "node")
SECRET, OTHER_SECRET = ("whsec_" + 43 * character + "=" for character in "AB")
BODY = '{"type":"InviteSent","data":{"position":128}}'


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """What a program prints; it must not fail."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(document: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project with the package installed."""
    folder = tmp_path_factory.mktemp("project")
    package = build_typescript_client(document, ROOT, folder)
    (folder / "package.json").write_text('{"private": true, "type": "module"}', "utf-8")
    run("npm", "install", "--silent", "--prefer-offline", "--ignore-scripts", "--no-audit", package, cwd=folder)
    return folder


def test_installed_package_prints_what_the_page_shows(project: Path, postgres_url: str) -> None:
    """Redeem, issue, campaign, hand-out, feed and webhook, against a served API; `tsc` checks the types."""
    examples = EXAMPLE.findall(GUIDE.read_text("utf-8"))
    (project / "guide.ts").write_text("\n".join(code for code, _ in examples), "utf-8")
    roots = ("--typeRoots", str(node_programs.FOLDER / "node_modules" / "@types"))
    compiled = node_programs.run_program("tsc", *OPTIONS, *roots, str(project / "guide.ts"))
    assert compiled.returncode == 0, compiled.stdout
    with serve_app(postgres_url) as (app, url):
        key = app.key("admin")["Authorization"].removeprefix("Bearer ")
        printed = run("node", "guide.js", cwd=project, URL=url, KEY=key)

    assert printed == "".join(expected for _, expected in examples) != ""


def test_package_repeats_and_verifies_as_the_python_client(project: Path, document: Document) -> None:
    """Lost answers with one key, within the bounds; webhooks by any secret and signature, within the tolerance."""
    at = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
    now = int(at.timestamp())
    signatures = [Webhook(secret).sign("msg_1", at, BODY) for secret in (SECRET, OTHER_SECRET)]
    headers = {"Webhook-Id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": " ".join(signatures)}
    one = {**headers, "webhook-signature": signatures[1]}
    valid = [(BODY, headers, SECRET, now + 300), (BODY, one, [SECRET, OTHER_SECRET], now - 300)]
    invalid = [
        *((BODY, one, SECRET, now), (BODY, one, [], now), (BODY + " ", headers, SECRET, now), (BODY, {}, SECRET, now)),
        *((BODY, headers, SECRET, now + 301), (BODY, headers, SECRET, now - 301)),
        (BODY, {**headers, "Webhook-Id": "msg_2"}, SECRET, now),
    ]
    missing = [(BODY, headers, [SECRET, secret], now) for secret in ("", "whsec_", "None", "whsec_None")]
    (project / "use.mjs").write_text((node_programs.FOLDER / "use_package.mjs").read_text("utf-8"), "utf-8")
    done = json.loads(run("node", "use.mjs", json.dumps({"signed": [*valid, *invalid, *missing]}), cwd=project))
    installed = json.loads((project / "node_modules/redemption-ledger-client/package.json").read_text("utf-8"))

    assert done.pop("verified") == ["msg_1", "msg_1", *(["SignatureError"] * len(invalid)), *(["TypeError"] * 4)]
    assert done == {
        "lost": {"keys": 1, "attempts": 4, "pauses": [7, 2, 4], "failed": ""},
        "once": {"keys": 1, "attempts": 1, "pauses": [], "failed": "ProblemError UNAVAILABLE"},
        "unreachable": {"keys": 1, "attempts": 1, "pauses": [], "failed": "UnreachableError"},
        "limited": {"keys": 1, "attempts": 1, "pauses": [], "failed": "ProblemError RATE_LIMITED 3600"},
        "proxied": {"keys": 1, "attempts": 1, "pauses": [], "failed": "ProblemError"},
        "restored": {"keys": 1, "attempts": 1, "pauses": [], "failed": "LogRestoredError"},
    }
    assert installed["version"] == document["info"]["version"]
