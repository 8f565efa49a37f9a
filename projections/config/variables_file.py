"""Files of variables, as the secrets file is one. It needs no library: `ledger up` reads it before it loads any."""

_QUOTES = ("'", '"')


def parse_variables(text: str) -> dict[str, str]:
    """Return the variables of a file of `NAME=value` lines, without comments and the quotes around a value."""
    lines = (line.strip().removeprefix("export ").partition("=") for line in text.splitlines())
    return {name.strip(): _unquoted(value.strip()) for name, equals, value in lines if equals and name[:1] != "#"}


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] in _QUOTES and value[0] == value[-1] else value
