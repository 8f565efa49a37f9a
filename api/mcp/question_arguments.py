"""The arguments of a call: read once, so that the same texts are asked and recorded."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from api.errors import malformed
from api.mcp.toolbox import Tool
from api.use_cases.lookups.find_subjects import ID

Values = Mapping[str, Sequence[str]]
"""The texts of a call by argument; several only where the schema is an array."""

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,16}")


def read_values(tool: Tool, arguments: Mapping[str, object]) -> Values:
    """Return the texts of a call, without spaces around them.

    Raises:
        ApplicationError: MALFORMED.
    """
    if arguments.keys() - tool.parameters.keys():
        raise malformed("arguments", f"must be among {', '.join(sorted(tool.parameters)) or 'none'}")
    missing = [name for name in tool.required if arguments.get(name) is None]
    if missing:
        raise malformed(f"arguments.{missing[0]}", "is missing")
    return {name: _read_value(tool, name, value) for name, value in arguments.items() if value is not None}


def write_query(tool: Tool, values: Values) -> tuple[str, str]:
    """Return path and query string of the request that asks a question."""
    path = tool.path.format_map({name: quote(texts[0], safe="") for name, texts in values.items()})
    pairs = [(name, text) for name, texts in values.items() if f"{{{name}}}" not in tool.path for text in texts]
    return path, urlencode(pairs)


def is_impersonal(schema: Mapping[str, Any], text: str) -> bool:
    """Return whether the schema of an argument says what a text is: a time, a number, or one of listed words."""
    return any(_is_impersonal(option, text) for option in _options(schema))


def _is_impersonal(option: Mapping[str, Any], text: str) -> bool:
    if "items" in option:
        return is_impersonal(option["items"], text)
    if "enum" in option:
        return text in option["enum"]
    if option.get("format") == "date-time":
        return _TIME.fullmatch(text) is not None
    if option.get("type") == "integer" and _NUMBER.fullmatch(text):
        return bool(option.get("minimum", int(text)) <= int(text) <= option.get("maximum", int(text)))
    return option.get("type") == "boolean" and text in {"true", "false"}


def _options(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    options: Sequence[Mapping[str, Any]] = schema.get("anyOf", [schema])
    return options


def _read_value(tool: Tool, name: str, value: object) -> list[str]:
    options = _options(tool.parameters[name])
    # A route would take the last of several values, and the audit log another one.
    is_list = any(option.get("type") == "array" for option in options)
    each = value if isinstance(value, list) and value and is_list else [value]
    if not all(isinstance(one, str | int | float) for one in each):
        raise malformed(f"arguments.{name}", "must be a text, a number, true or false, or a list if it takes one")
    texts = [str(one).lower() if isinstance(one, bool) else str(one).strip() for one in each]
    if not all(text and text.isprintable() for text in texts):
        raise malformed(f"arguments.{name}", "must be one line of characters that can be seen")
    # Routes read IDs in further spellings, in which a code can be written, too.
    if any(option.get("format") == "uuid" for option in options) and not all(map(ID.fullmatch, texts)):
        raise malformed(f"arguments.{name}", "must be an ID, as answers write it")
    return texts
