"""Nothing that the OpenAPI document allows or forbids makes the API answer as the document does not tell.

1,200 requests here, with a fixed seed; `make soak` makes 20,000 with another.
"""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.schemas import BaseSchema

from api.main import create_app
from tests.support import openapi_fuzzing as fuzzing
from tests.support.clients.in_process_app import shared_site

pytestmark = pytest.mark.night(of="extremes")

REQUEST_COUNTS: list[int] = []


@pytest.fixture(scope="module")
def schema(postgres_url: str) -> Iterator[BaseSchema]:
    """The document of a separate application, called as an admin. Its mail provider signs within the body."""
    with shared_site(postgres_url) as shared_app:
        hook = {"mail_provider": "mailgun", "mail_hook_secret": SecretStr("key-of-the-hook")}
        app = create_app(shared_app.services.settings.model_copy(update={"rate_limit": "off", **hook}))
        yield fuzzing.load(app, shared_app.key("admin")["Authorization"].removeprefix("Bearer "))
        shutdown_lifespans()


@pytest.mark.parametrize("part", range(fuzzing.PARTS))
def test_each_operation_answers_as_it_is_described(schema: BaseSchema, subtests: pytest.Subtests, part: int) -> None:
    """Requests that its schema allows, and ones that it does not: never a 5xx, always a documented shape."""
    examples = fuzzing.examples_per_mode(schema)
    for operation in fuzzing.part_of(schema, part):
        with subtests.test(operation=fuzzing.name_of(operation)):
            REQUEST_COUNTS.append(fuzzing.fuzz(operation, examples))


def test_clients_that_go_on_from_answers(schema: BaseSchema) -> None:
    """By the document's links: what was issued is redeemed, looked at, changed, refunded; and it was enough in all."""
    REQUEST_COUNTS.append(fuzzing.in_a_row(schema))

    assert sum(REQUEST_COUNTS) >= fuzzing.CASES
