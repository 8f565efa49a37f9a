"""Sets of domains in requests and responses of the API: a list of names, which is one text inside."""

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from domain.values.email_domains import (
    DOMAINS_LENGTH_MAX,
    NAME_LENGTH_MAX,
    NAMES_MAX,
    SUBDOMAINS,
    DomainNames,
    join_domains,
)

_NAME: Final = {
    "type": "string",
    "format": "email-domain",
    "minLength": 1,
    "maxLength": len(SUBDOMAINS) + NAME_LENGTH_MAX,
}
_LIST: Final = {"type": "array", "items": _NAME, "minItems": 1, "maxItems": NAMES_MAX}


def _join(names: object) -> DomainNames:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("is not a list of domain names")
    if sum(map(len, names)) > DOMAINS_LENGTH_MAX:
        raise ValueError(f"has more than {DOMAINS_LENGTH_MAX} characters")
    return join_domains(names)


DomainList = Annotated[str, BeforeValidator(_join), WithJsonSchema(_LIST)]
"""A list of names such as `example.com`, or `*.example.com` for all subdomains; the value is a set in normal form."""
DomainListView = Annotated[list[str], Field(min_length=1, max_length=NAMES_MAX)]
"""The names of a set, in order."""
