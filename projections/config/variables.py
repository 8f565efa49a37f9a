"""Variables of the environment and of files, such as the secrets file and the `.env` of Compose.

It needs no library: `ledger up` reads it before it loads any.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

SECRETS_FILE: Final = "LEDGER_SECRETS_FILE"
ENVIRONMENT: Final = "environment"
"""Source of a variable that no file sets."""
SERVER_PASSWORDS: Final = ("LEDGER_POSTGRES_PASSWORD", "LEDGER_POSTGRES_RUN_PASSWORD", "LEDGER_BROKER_PASSWORD")
"""Variables with secrets of the servers of `ledger up`; no other process gets them."""
POSTGRES_PASSWORD, RUN_PASSWORD, BROKER_PASSWORD = SERVER_PASSWORDS
_QUOTES: Final = ("'", '"')


class Variable(NamedTuple):
    """A variable that is set.

    Attributes:
        source: `environment`, or the path of the file that sets it.
    """

    value: str
    source: str


class Fault(NamedTuple):
    """What a line of a file of variables does that its author may not expect.

    Attributes:
        is_harmless: Every reader of such files reads the line as it was meant.
    """

    sentence: str
    is_harmless: bool = False


class _Line(NamedTuple):
    number: int
    name: str
    value: str

    @property
    def quote(self) -> str:
        """The quote around the value; empty without one."""
        is_quoted = len(self.value) > 1 and self.value[0] in _QUOTES and self.value[0] == self.value[-1]
        return self.value[0] if is_quoted else ""


def read_variables(environment: Mapping[str, str] = os.environ) -> dict[str, Variable]:
    """Return the variables of the environment, and those of the secrets file that the environment does not set.

    Names are in upper case. An empty value counts as not set, and quotes around a value are not part of it.

    Raises:
        OSError: The secrets file exists and can't be read.
    """
    variables = read_file_variables(environment.get(SECRETS_FILE))
    for name, text in environment.items():
        if value := unquoted(text.strip()):
            variables[name.upper()] = Variable(value, ENVIRONMENT)
    return variables


def read_file_variables(path: str | Path | None) -> dict[str, Variable]:
    """Return the variables that a file sets to a value, with names in upper case; none if there is no such file.

    Raises:
        OSError: The file exists and can't be read.
    """
    if not path or not (file := Path(path)).exists():
        return {}
    values = parse_variables(file.read_text("utf-8", errors="replace"))
    return {name.upper(): Variable(value, str(file)) for name, value in values.items() if value}


def parse_variables(text: str) -> dict[str, str]:
    """Return the variables of a file of `NAME=value` lines, without comments and the quotes around a value."""
    return {line.name: unquoted(line.value) for line in _lines(text) if line.name}


def unquoted(value: str) -> str:
    """Return a value without the quotes around it."""
    return value[1:-1] if _Line(0, "", value).quote else value


def find_faults(text: str) -> Iterator[Fault]:
    """Yield what is unusual about a file of variables, in the order of its lines."""
    if "\r" in text:
        yield Fault("the lines end in CRLF, which is not part of a value", is_harmless=True)
    numbers: dict[str, int] = {}
    for line in _lines(text):
        if not re.fullmatch(r"[A-Za-z_]\w*", line.name):
            yield Fault(f"line {line.number} is not NAME=value: it has no effect")
            continue
        name = line.name.upper()
        if name in numbers:
            yield Fault(f"line {line.number} sets {name} again: line {numbers[name]} has no effect")
        numbers[name] = line.number
        yield from _find_faults_of_value(line)


def _find_faults_of_value(line: _Line) -> Iterator[Fault]:
    """Yield how the quoting of a value misleads: only single quotes keep every character in every reader."""
    in_single_quotes = f"write the value of {line.name} in single quotes"
    if line.quote:
        yield Fault(f"line {line.number}: the quotes are not part of the value of {line.name}", is_harmless=True)
    elif line.value[:1] in _QUOTES:
        yield Fault(f"line {line.number}: the quote that begins the value of {line.name} does not end on the line")
    elif re.search(r"\s#", line.value):
        yield Fault(f"line {line.number}: Compose takes what follows # for a comment: {in_single_quotes}")
    if "$" in line.value and line.quote != "'":
        yield Fault(f"line {line.number}: Compose replaces $ and the name after it: {in_single_quotes}")


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines that are neither empty nor comments; the name is empty if a line has no equals sign."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        content = line.strip().removeprefix("export ")
        if content and not content.startswith("#"):
            name, equals, value = content.partition("=")
            yield _Line(number, name.strip() if equals else "", value.strip())
