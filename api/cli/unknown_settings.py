"""Variables that look like settings but are not: a misspelt setting would otherwise be ignored silently."""

import difflib
from collections.abc import Iterable, Iterator

from api.cli.embedded.secrets_file import SERVER_PASSWORDS
from api.settings import ApiSettings
from workers.settings import WorkerSettings

PREFIX = "LEDGER_"
OTHER_VARIABLES = frozenset({
    "LEDGER_SECRETS_FILE",  # names the file that settings are read from
    *SERVER_PASSWORDS,  # of the embedded servers, from a data folder's secrets
    "LEDGER_DEBUG",  # refused in production
    "LEDGER_PORT",  # of compose.yaml, like the next two
    "LEDGER_IMAGE",
    "LEDGER_LOG_SIZE",
})  # fmt: skip
"""Variables that are read in addition to the settings."""


def find_unknown_settings(names: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each variable that has the prefix and that no component reads."""
    known_names = OTHER_VARIABLES | {
        f"{PREFIX}{field.upper()}" for kind in (ApiSettings, WorkerSettings) for field in kind.model_fields
    }
    for name in sorted(set(names)):
        if name.startswith(PREFIX) and name not in known_names:
            similar = difflib.get_close_matches(name, known_names, n=1)
            suffix = f", did you mean {similar[0]}?" if similar else " (docs/reference/settings.md lists them)"
            yield f"{name} is not a setting{suffix}"
