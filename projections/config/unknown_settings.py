"""Variables that look like settings but are not: a mistyped setting would otherwise be ignored silently."""

import difflib
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from projections.config.environment import PREFIX, name_of_variable
from projections.config.settings import LedgerSettings
from projections.config.variables import SECRETS_FILE, SERVER_PASSWORDS, find_faults, parse_variables

log = logging.getLogger(__name__)

OTHER_VARIABLES: Final = {
    SECRETS_FILE: "file of `NAME=value` lines with settings; the environment takes precedence",
    "LEDGER_PORT": "port that `compose.yaml` publishes",
    "LEDGER_IMAGE": "image that `compose.yaml` runs and builds",
    "LEDGER_BACKUP_IMAGE": "image of the services `backup` and `restore` of `compose.yaml`",
    "LEDGER_BACKUP_DIR": "folder of the backups that `compose.yaml` mounts, best of another machine; by default the"
    " volume `backup`",
    "LEDGER_BACKUP_HOURS": "hours from one base backup of `compose.yaml` to the next; 24 by default",
    "LEDGER_BACKUPS_KEPT": "how many base backups are kept in containers; 7 by default",
    "LEDGER_RELAY_DIR": "folder with files of the service `relay` of `compose.yaml`, which sees it as `/relay`; by"
    " default an empty volume",
    "LEDGER_ARCHIVE_DIR": "folder to which the nodes of the cluster archive WAL; by default the volume `archive`",
    "LEDGER_HA_IMAGE": "image of the servers of `deploy/ha`",
    "LEDGER_LOCK": "packages of the image: `runtime`, or `tracing` or `kafka` for the extra",
    "LEDGER_LOG_SIZE": "size of a container's log before it is rotated, such as `10m`; Docker keeps three files each",
    "LEDGER_DEPLOYMENT": "deployment whose commands `ledger doctor` shows: `compose`, `cluster-compose` or `cluster`;"
    " the files in `deploy` set it",
    "LEDGER_API_KEY": "API key of `ledger mcp`; without one, its tools read what the operator may"
    " ([guide](../how-to/ask-an-assistant.md))",
    "PROMETHEUS_MULTIPROC_DIR": "directory in which the processes of one container aggregate their metrics"
    " ([metrics](metrics.md))",
    "SSL_CERT_FILE": "certificate authorities that mail servers are checked against",
}
"""Variables that are read in addition to the settings, with their descriptions for the reference page."""
INTERNAL: Final = frozenset({
    *SERVER_PASSWORDS,
    "LEDGER_DEBUG",  # refused in production
})  # fmt: skip
SIMILAR_MIN: Final = 0.75
"""Similarity of a name without the prefix, or of a first word such as LEGDER; other programs have variables too."""
PREFIXED_SIMILAR_MIN: Final = 0.6
"""Similarity of a name with the prefix, which is reported in any case."""


def setting_names() -> list[str]:
    """Return the names of all settings, in the order of the reference page."""
    return [name_of_variable(LedgerSettings, field) for field in LedgerSettings.model_fields]


def find_unknown_settings(names: Iterable[str], *, in_own_file: bool = False) -> Iterator[str]:
    """Yield a sentence for each name that is or resembles a setting's, and that no component reads.

    Args:
        names: Names of variables; letter case is ignored.
        in_own_file: Whether they are of a file of the ledger, in which a name without the prefix is a mistake. In an
            environment it may be a variable of another program.
    """
    settings = setting_names()
    names_without_prefix = {name.removeprefix(PREFIX) for name in (*settings, *OTHER_VARIABLES)}
    prefixed = {PREFIX + name.removeprefix(PREFIX) for name in settings}
    allowed = {*settings, *prefixed, *OTHER_VARIABLES, *INTERNAL}
    for name in sorted({name.upper() for name in names} - allowed):
        similar = _find_similar(name, names_without_prefix, in_own_file=in_own_file)
        if similar is not None:
            meant = similar if similar in allowed else PREFIX + similar
            yield f"{name} is not a setting, did you mean {meant}?"
        elif name.startswith(PREFIX):
            yield f"{name} is not a setting: `ledger settings` lists them"


def find_ignored_settings(*files: Path) -> Iterator[str]:
    """Yield a sentence for each variable of the environment and line of a file that has no effect.

    Args:
        files: Files of variables in addition to the secrets file; one that this account may not read is skipped.
    """
    yield from find_unknown_settings(os.environ)
    named = [Path(path)] if (path := os.environ.get(SECRETS_FILE)) else []
    for file in dict.fromkeys([*named, *files]):
        with suppress(OSError):
            text = file.read_text("utf-8", errors="replace")
            faults = [fault.sentence for fault in find_faults(text) if not fault.is_harmless]
            unknown = find_unknown_settings(parse_variables(text), in_own_file=True)
            yield from (f"{file}: {sentence}" for sentence in (*faults, *unknown))


def log_ignored_settings() -> None:
    """Log each variable that looks like a setting and has no effect, once at the start of a process."""
    for sentence in find_ignored_settings():
        log.warning("unknown setting ignored", extra={"why": sentence})


def _find_similar(name: str, names_without_prefix: Collection[str], *, in_own_file: bool) -> str | None:
    """Return the name that another one resembles, both without the prefix; None if it is no setting's."""
    if name.startswith(PREFIX) or in_own_file:
        cutoff = SIMILAR_MIN if not name.startswith(PREFIX) else PREFIXED_SIMILAR_MIN
        return next(iter(difflib.get_close_matches(name.removeprefix(PREFIX), names_without_prefix, 1, cutoff)), None)
    first, _, rest = name.partition("_")
    if rest not in names_without_prefix:
        return None
    is_prefix = difflib.SequenceMatcher(None, f"{first}_", PREFIX).ratio() > SIMILAR_MIN
    return rest if is_prefix else None
