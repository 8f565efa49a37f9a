"""What both clients know of an operation in addition to its types: whether it may be repeated, and what answers it."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.contracts.clients.strict_decoder import SUCCESS_MAX, Document

GONE_IS_DONE: Final = frozenset({"webhooks_remove_webhook"})
"""Operations that are done if a repeat says NOT_FOUND after a lost answer."""
REPEATABLE: Final = GONE_IS_DONE | {
    *("redemptions_redeem_codes", "public_correct_recipient", "public_rebind"),
    *("codes_replace_terms", "channels_delete_channel"),
}
"""Operations that have no further effect when they are repeated, in addition to every GET and to those with an
`Idempotency-Key`. `channels_put_channel` has one: only its first answer contains the secret."""


class Operation(NamedTuple):
    """An operation of the OpenAPI document.

    Attributes:
        method: HTTP method.
        path: Path with the names of its parameters in braces.
        described: What the document has of it.
        successes: Contents of its successes, by media type.
        takes_key: Whether it takes an `Idempotency-Key`.
        is_repeatable: Whether a repeat after a lost answer has no further effect.
        gone_is_done: Whether NOT_FOUND after a lost answer says that it is done.
    """

    method: str
    path: str
    described: Document
    successes: dict[str, Any]
    takes_key: bool
    is_repeatable: bool
    gone_is_done: bool


def list_operations(document: Document) -> list[Operation]:
    """Return the operations of a document.

    Raises:
        ValueError: The document lacks one that is named here.
    """
    operations = list(_read_operations(document))
    if missing := REPEATABLE - {each.described["operationId"] for each in operations}:
        raise ValueError(f"the document has no operation {', '.join(sorted(missing))}: correct REPEATABLE")
    return operations


def _read_operations(document: Document) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            name, responses = described["operationId"], described["responses"]
            success = next(each for status, each in responses.items() if int(status) <= SUCCESS_MAX)
            takes_key = any(
                each["name"].lower() == "idempotency-key" and not is_refused(each)
                for each in described.get("parameters", [])
            )
            yield Operation(
                method=method.upper(),
                path=path,
                described=described,
                successes=success.get("content", {}),
                takes_key=takes_key,
                is_repeatable=takes_key or method == "get" or name in REPEATABLE,
                gone_is_done=name in GONE_IS_DONE,
            )


def is_refused(parameter: Document) -> bool:
    """Return whether the API refuses every value of a header."""
    schema = parameter["schema"]
    return any(each.get("maxLength") == 0 for each in schema.get("anyOf", [schema]))
