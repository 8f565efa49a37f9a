"""The statement of a release: what it says of its files, and what a comparison of a folder with it notices."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.locks import read_lock
from tests.packaging.build_release import run_build
from tests.packaging.provenance import LOCAL_BUILDER, STATEMENT, SUMS, Source, find_differences, main, write_statement

SOURCE = Source("4de7e0c7" * 5, "1.2.3", 1_764_000_000)
FILES = {"ledger-1.2.3-py3-none-any.whl": b"wheel", "constraints.txt": b"psycopg==3.2\n"}
PIPELINE = "https://ci.example.com/pipelines/release@v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    write_statement(tmp_path, SOURCE)
    return tmp_path


def read_statement(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / STATEMENT).read_text("utf-8")))


def test_statement_names_the_files_their_source_and_a_local_builder(folder: Path) -> None:
    statement = read_statement(folder)
    build, run = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]

    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    assert [subject["name"] for subject in statement["subject"]] == sorted(FILES)
    assert build["externalParameters"] == {"commit": SOURCE.commit, "version": "1.2.3"}
    assert build["resolvedDependencies"][0] == {"name": "source", "digest": {"gitCommit": SOURCE.commit}}
    assert run == {"builder": {"id": LOCAL_BUILDER}}
    assert find_differences(folder) == []


def test_statement_names_every_package_of_the_build_with_a_digest_of_its_lock(folder: Path) -> None:
    """What builds the wheels, what they are tested with, and the compiler of the TypeScript client."""
    _, *packages = read_statement(folder)["predicate"]["buildDefinition"]["resolvedDependencies"]
    python = [package for package in packages if package["uri"].startswith("pkg:pypi/")]
    pins = [pin for lock in ("dev.lock", "audit.lock") for pin in read_lock(lock)]

    uris = {f"pkg:pypi/{pin.name}@{pin.version}": pin.marker for pin in pins}

    assert {package["uri"] for package in python} <= uris.keys()
    assert {uri for uri, marker in uris.items() if not marker} <= {package["uri"] for package in python}
    assert {f"sha256:{package['digest']['sha256']}" for package in python} <= {
        digest for pin in pins for digest in pin.hashes
    }
    (compiler,) = [package for package in packages if package["uri"].startswith("pkg:npm/typescript@")]
    assert len(compiler["digest"]["sha512"]) == 128
    assert any(package["uri"].startswith("pkg:npm/%40types/node@") for package in packages)


def test_same_files_give_the_same_bytes_twice(folder: Path) -> None:
    """The statement does not cover itself or the digests, so that writing both again changes nothing."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    write_statement(folder, SOURCE)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_changed_file_is_noticed_by_digests_and_statement(folder: Path) -> None:
    """One of the two is enough for a reader who has only one."""
    (folder / "constraints.txt").write_text("psycopg==3.1\n", "utf-8")

    assert find_differences(folder) == [
        f"constraints.txt does not have the digest that {place} names" for place in (SUMS, STATEMENT)
    ]


@pytest.mark.parametrize("name", ["added.whl", "more/added.whl"])
def test_added_file_is_noticed(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).touch()

    assert find_differences(folder) == [f"{name} is in the folder, and not in {place}" for place in (SUMS, STATEMENT)]


def test_missing_file_is_noticed(folder: Path) -> None:
    (folder / "constraints.txt").unlink()

    assert find_differences(folder) == [
        f"constraints.txt is in {place}, and not in the folder" for place in (SUMS, STATEMENT)
    ]


def test_changed_statement_is_noticed_by_the_digests(folder: Path) -> None:
    """They cover it: a damaged download of it is one of theirs."""
    text = (folder / STATEMENT).read_text("utf-8")
    (folder / STATEMENT).write_text(text.replace(LOCAL_BUILDER, PIPELINE), "utf-8")

    assert find_differences(folder) == [f"{STATEMENT} does not have the digest that {SUMS} names"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "provenance.json is not a statement: "),
        ('{"subject": []}', "provenance.json is not a statement: KeyError('_type')"),
        (
            '{"_type": "a", "predicateType": "b", "subject": []}',
            "provenance.json is of the types a and b: it is another statement",
        ),
    ],
)
def test_other_document_is_not_a_statement(folder: Path, text: str, sentence: str) -> None:
    (folder / STATEMENT).write_text(text, "utf-8")

    assert any(difference.startswith(sentence) for difference in find_differences(folder))


def test_missing_statement_and_digests_are_named(folder: Path) -> None:
    (folder / STATEMENT).unlink()
    (folder / SUMS).write_text("no digest", "utf-8")

    digests, statement = find_differences(folder)
    assert digests.startswith("SHA256SUMS is not a list as `sha256sum` writes it: ")
    assert statement.startswith("provenance.json is not a statement: FileNotFoundError")


def test_builder_of_a_pipeline_is_in_the_statement_and_must_be_a_uri(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(into: Path, _revision: str, builder: str) -> None:
        write_statement(into, SOURCE, builder)

    monkeypatch.setattr("sys.argv", ["build", str(folder), "--builder", PIPELINE])
    run_build(build, "Build.")
    assert read_statement(folder)["predicate"]["runDetails"] == {"builder": {"id": PIPELINE}}

    monkeypatch.setattr("sys.argv", ["build", str(folder), "--builder", "my laptop"])
    with pytest.raises(SystemExit):
        run_build(build, "Build.")
    assert "argument --builder: 'my laptop' is not a URI: give that of your pipeline" in capsys.readouterr().err


def test_command_says_what_the_statement_claims_or_what_differs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["provenance", str(folder)])
    assert main() == 0
    said = capsys.readouterr().out
    assert all(text in said for text in (SOURCE.commit, "1.2.3", LOCAL_BUILDER))

    (folder / "added.whl").touch()

    assert main() == 1
    assert "added.whl is in the folder, and not in SHA256SUMS\n" in capsys.readouterr().err
