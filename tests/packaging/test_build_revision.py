"""What a build runs belongs to the commit that it builds."""

import subprocess
from pathlib import Path

import pytest

from tests.packaging import build_release
from tests.packaging.build_release import STEP_S_MAX, TOOL_SOURCES, require_tools_of

GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.com", "-c", "commit.gpgsign=false")


def commit(clone: Path) -> None:
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "tests: Add a file")):
        subprocess.run([*GIT, *words], cwd=clone, check=True, timeout=STEP_S_MAX)


@pytest.mark.parametrize("changed", TOOL_SOURCES)
def test_build_with_the_tools_of_another_commit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """Their bytes would not be those of the commit. Other files come from it, whatever the working tree holds."""
    monkeypatch.setattr(build_release, "ROOT", tmp_path)
    for name in (*TOOL_SOURCES, "api"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("committed", "utf-8")
    commit(tmp_path)
    (tmp_path / "api" / "file").write_text("changed", "utf-8")
    require_tools_of("HEAD")

    (tmp_path / changed / "file").write_text("changed", "utf-8")

    with pytest.raises(ValueError, match="check out HEAD"):
        require_tools_of("HEAD")
