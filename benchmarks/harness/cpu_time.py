"""CPU time of processes by the part of the stack that they belong to: it says more than a rate on a busy machine."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

import psutil

PARTS: Final = {"api.main:create_app": "api", "celery": "worker", "postgres": "postgres"}
"""A word of the command line, and the part of the stack; other processes are the part `other`."""
CLIENT: Final = "api.mail_sink.server"
"""Receives the emails, as a mail server outside of the stack would: its time is not the stack's."""


def read_cpu_s(processes: Iterable[psutil.Process]) -> dict[str, float]:
    """Return the CPU seconds of each part so far: user and system, with child processes that have ended."""
    seconds = dict.fromkeys((*PARTS.values(), "other"), 0.0)
    for process in processes:
        with suppress(psutil.Error):
            command, times = " ".join(process.cmdline()), process.cpu_times()
            if CLIENT not in command:
                part = next((part for word, part in PARTS.items() if word in command), "other")
                seconds[part] += times.user + times.system + times.children_user + times.children_system
    return seconds


def subtract(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds between two readings; a part whose process has ended in between counts as 0."""
    return {part: max(0.0, after[part] - before[part]) for part in after}
