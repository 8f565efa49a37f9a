"""The TypeScript client as users install it: its package in an empty project runs the guide against a served API."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from tests.contracts.clients import node_programs
from tests.contracts.clients.hostile_document import make_hostile
from tests.contracts.clients.planted_world import run_page
from tests.contracts.clients.signed_messages import (
    BODY,
    INVALID_SECRETS,
    NOW,
    OTHER_SECRET,
    SECRET,
    post_batch,
    sign_message,
)
from tests.contracts.clients.strict_decoder import Document
from tests.packaging.build_clients import build_typescript_client
from tests.packaging.build_release import ROOT
from tests.packaging.typescript_client import write_sources
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="packages")

GUIDE = ROOT / "docs" / "how-to" / "call-the-api.md"
TUTORIAL = ROOT / "docs" / "tutorial" / "integrate-a-shop.md"
EXAMPLE = re.compile(r"```ts\n(.*?)```\s+```text\n(.*?)```", re.DOTALL)
OPTIONS = ("--strict", "--module", "nodenext", "--target", "es2022", "--noUncheckedIndexedAccess", "--types", "node")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
COMMITTED = 1_764_000_000
IDS = ["", ".", "..", None, "../a?b#c%2e d"]
SETTINGS = [("http://ledger", None), ("", "key"), ("undefined", "key"), ("http://ledger", ""), ("http://ledger", "a\n")]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=WAIT_S_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(document: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty project with the package, which is installed too."""
    folder = tmp_path_factory.mktemp("project")
    package = build_typescript_client(document, ROOT, folder, COMMITTED)
    (folder / "package.json").write_text('{"private": true, "type": "module"}', "utf-8")
    run("npm", "install", "--silent", "--prefer-offline", "--ignore-scripts", "--no-audit", package, cwd=folder)
    return folder


def compile_page(project: Path, page: Path) -> str:
    """Return what a page prints; its program is compiled in the project, and `tsc` checks the types."""
    examples = EXAMPLE.findall(page.read_text("utf-8"))
    (program := project / f"{page.stem}.ts").write_text("\n".join(code for code, _ in examples), "utf-8")
    roots = ("--typeRoots", str(node_programs.FOLDER / "node_modules" / "@types"))
    compiled = node_programs.run_program("tsc", *OPTIONS, *roots, str(program))
    assert compiled.returncode == 0, compiled.stdout
    return "".join(expected for _, expected in examples)


@pytest.mark.parametrize("page", [GUIDE, TUTORIAL], ids=lambda page: page.stem)
def test_installed_package_prints_what_the_page_shows(page: Path, project: Path, postgres_url: str) -> None:
    """From issuing to a webhook, and what `If-Match`, a repeated key and a second person refuse, by a served API."""
    expected = compile_page(project, page)
    program = f"{page.stem}.js"
    printed = run_page(postgres_url, lambda url, key: run("node", program, cwd=project, URL=url, KEY=key))

    assert printed == expected != ""


def test_guide_names_a_setting_that_is_missing(project: Path) -> None:
    """It does not send the text of nothing."""
    compile_page(project, GUIDE)
    with pytest.raises(AssertionError, match="Set URL and KEY in the environment"):
        run("node", f"{GUIDE.stem}.js", cwd=project, URL="http://127.0.0.1:1", KEY="")


@pytest.fixture(scope="module")
def used(project: Path) -> dict[str, Any]:
    (headers, one), (batch, signed) = sign_message(), post_batch()
    messages = [
        *((BODY, headers, SECRET, NOW + 300), (BODY, one, [SECRET, OTHER_SECRET], NOW - 300)),
        *((BODY, one, SECRET, NOW), (BODY, one, [], NOW), (BODY + " ", headers, SECRET, NOW), (BODY, {}, SECRET, NOW)),
        *((BODY, headers, SECRET, NOW + 301), (BODY, headers, SECRET, NOW - 301)),
        *((BODY, {**headers, "Webhook-Id": "msg_2"}, SECRET, NOW), (batch, signed, SECRET, NOW)),
        *((BODY, headers, [SECRET, secret], NOW) for secret in INVALID_SECRETS),
    ]
    batches = [
        *((batch, signed, OTHER_SECRET, NOW + 300), (batch, signed, OTHER_SECRET, NOW + 301)),
        (batch[1:], signed, [SECRET, OTHER_SECRET], NOW),
    ]
    inputs = {"signed": messages, "batches": batches, "ids": IDS, "settings": SETTINGS}
    (project / "use.mjs").write_text((node_programs.FOLDER / "use_package.mjs").read_text("utf-8"), "utf-8")
    return cast("dict[str, Any]", json.loads(run("node", "use.mjs", json.dumps(inputs), cwd=project)))


def test_same_source_gives_the_same_bytes(document: Document, project: Path, tmp_path: Path) -> None:
    """Under another umask, in another folder, later."""
    umask = os.umask(0o077)
    try:
        built = build_typescript_client(document, ROOT, tmp_path, COMMITTED)
    finally:
        os.umask(umask)

    assert built.read_bytes() == (project / built.name).read_bytes()


def test_texts_of_the_document_stay_texts(document: Document, tmp_path: Path) -> None:
    """Whatever they hold, the generated types are the same."""
    types = []
    for name, described in (("usual", document), ("hostile", make_hostile(document) | {"info": document["info"]})):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "package.json").write_text("{}", "utf-8")
        write_sources(described, tmp_path / name)
        types.append((tmp_path / name / "src" / "schema.ts").read_text("utf-8"))
    usual, hostile = ("".join(COMMENT.sub("", text).split()) for text in types)

    assert hostile == usual
    assert "PLANTED" in types[1]


def test_package_has_the_version_of_the_document(project: Path, document: Document) -> None:
    """It is that of the API."""
    installed = json.loads((project / "node_modules/redemption-ledger-client/package.json").read_text("utf-8"))

    assert installed["version"] == document["info"]["version"]


def test_package_repeats_as_the_python_client(used: dict[str, Any]) -> None:
    """The same operations with one key, after the same pauses, within the same bounds; errors have the same names."""
    calls = used["calls"]
    shown = {name: (each["attempts"], sum(each["pauses"]), each["failed"]) for name, each in calls.items()}

    assert shown == {
        "lost": (4, 7 + 2 + 4, ""),
        "once": (1, 0, "ProblemError 503 UNAVAILABLE"),
        "putOnce": (1, 0, "ProblemError 503 UNAVAILABLE"),
        "rebound": (8, 7, "ProblemError 503 UNAVAILABLE 1"),
        "overloaded": (8, 7, "ProblemError 503 OVERLOADED 1"),
        "unreachable": (1, 0, "UnreachableError"),
        "refused": (6, 31, "UnreachableError"),
        "limited": (1, 0, "ProblemError 429 RATE_LIMITED 3600"),
        "dated": (7, 54, "ProblemError 429 RATE_LIMITED 9"),
        "slow": (3, 3, "UnreachableError"),
        "proxied": (1, 0, "ProblemError 403"),
        "brokenOff": (1, 0, "UnreachableError"),
        "brokenOnce": (2, 1, ""),
        "restored": (1, 0, "LogRestoredError"),
        "removedTwice": (2, 1, ""),
        "removedLate": (2, 1, ""),
        "removedLimited": (2, 1, "ProblemError 404 NOT_FOUND"),
        "removedNever": (1, 0, "ProblemError 404 NOT_FOUND"),
        "deletedTwice": (2, 1, "ProblemError 404 NOT_FOUND"),
        "notRemoved": (1, 0, "UnreadableError 200"),
        "noTable": (1, 0, "UnreadableError 200"),
    }
    assert {each["keys"] for each in calls.values()} == {1}
    assert calls["proxied"]["text"].endswith("|<p>***" + 194 * "x")


def test_package_refuses_answers_that_are_not_of_the_api(used: dict[str, Any]) -> None:
    """With the status, and without what an answer of the API may hold; nor with the key. No redirect is followed."""
    for answers in used["answered"].values():
        assert {name: each["failed"] for name, each in answers.items()} == {
            **dict.fromkeys(("page", "untyped", "broken", "other"), "UnreadableError 200"),
            "empty": "UnreadableError 204",
            "moved": "ProblemError 302",
        }
        texts = {name: each["text"] for name, each in answers.items()}
        assert texts["page"].endswith("not application/json. <p>Sign in, 'Bearer ***'</p>|<p>Sign in, 'Bearer ***'</p>")
        assert texts["moved"].endswith("|<html>Moved")
        assert {redirect for each in answers.values() for redirect in each["redirects"]} == {"manual"}
        assert not any("SECRET" in text for text in texts.values())


def test_package_sends_no_id_that_leads_elsewhere(used: dict[str, Any]) -> None:
    """The others are one name in the path."""
    shown = [(each["attempts"], each["failed"], each["paths"]) for each in used["ids"]]

    assert shown == [
        *([(0, "TypeError", [])] * 4),
        (1, "", ["/api/v1/webhooks/..%2Fa%3Fb%23c%252e%20d"]),
    ]


def test_package_ends_a_request_when_its_caller_does(used: dict[str, Any]) -> None:
    """During an attempt or a pause; the timeout of the client holds too."""
    assert used["aborted"] == {
        "request": {"attempts": 1, "failed": "AbortError"},
        "pause": {"attempts": 1, "failed": "AbortError"},
        "late": {"attempts": 1, "failed": "UnreachableError"},
    }


def test_package_connects_with_no_setting_that_is_missing(used: dict[str, Any]) -> None:
    """It says which before a request."""
    assert used["settings"] == ["connected", *(["TypeError"] * 4)]


def test_package_verifies_as_the_python_client(used: dict[str, Any]) -> None:
    """By any secret and signature, within the tolerance; a batch of a relay is not one message."""
    assert used["verified"] == [
        *("msg_1", "msg_1"),
        *(["SignatureError"] * 8),
        *(["TypeError"] * len(INVALID_SECRETS)),
    ]
    assert used["batches"] == ["relay_5_9", "SignatureError", "SignatureError"]
