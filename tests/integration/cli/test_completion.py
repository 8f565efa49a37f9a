"""Shells complete commands, their options and the commands of a group."""

from collections.abc import Callable

import pytest

from api.cli.app import run

Complete = Callable[[str, str], list[str]]


@pytest.fixture(name="complete")
def _complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complete:
    """What a shell offers after words of which the last one is not finished."""

    def complete(shell: str, typed: str) -> list[str]:
        variables = {
            "_LEDGER_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(typed.count(" ")),
            "_TYPER_COMPLETE_ARGS": typed,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit, match="0"):
            run([])
        return capsys.readouterr().out.splitlines()

    return complete


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completes_the_commands_of_a_group(complete: Complete, shell: str) -> None:
    offered = "\n".join(complete(shell, "ledger staff "))

    assert all(name in offered for name in ("add", "role", "password", "remove", "list"))
    assert "Usage" not in offered


def test_commands_and_options_are_completed_by_their_beginnings(complete: Complete) -> None:
    assert complete("bash", "ledger hand-") == ["hand-out"]
    assert complete("bash", "ledger hand-out create --e") == ["--expires-at", "--existing-codes"]
