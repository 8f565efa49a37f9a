"""Shells complete commands, their options and the commands of a group."""

import os
import subprocess
import sys

import pytest


def complete(shell: str, typed: str) -> list[str]:
    """What a shell offers after these words; the last one is not finished."""
    words = typed.split(" ")
    environment = {
        "_LEDGER_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": typed,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    command = [sys.executable, "-c", "from api.cli.entry import main; main()"]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completes_the_commands_of_a_group(shell: str) -> None:
    offered = "\n".join(complete(shell, "ledger staff "))

    assert all(name in offered for name in ("add", "role", "password", "remove", "list"))
    assert "Usage" not in offered


def test_commands_and_options_are_completed_by_their_beginnings() -> None:
    assert complete("bash", "ledger hand-") == ["hand-out"]
    assert complete("bash", "ledger hand-out create --e") == ["--expires-at", "--existing-codes"]
