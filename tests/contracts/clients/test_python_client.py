"""A Python client of generated models goes through the whole API: nothing in an answer differs from the document.

A status, media type, field or type that the document lacks is an error, and so is a missing field. The flows are
type-checked with the models, and they reach every success of every operation.
"""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from tests.contracts.clients.client_world import ClientWorld
from tests.contracts.clients.generated_models import generate
from tests.contracts.clients.planted_world import open_world
from tests.contracts.clients.strict_client import StrictClient
from tests.contracts.clients.strict_decoder import Document, StrictDecoder
from tests.support.waiting import WAIT_S_MAX

ROOT = Path(__file__).parents[3]
FLOW_MODULES = ("code_flows", "campaign_flows")
Flow = Callable[[StrictClient, ClientWorld], None]
pytest.register_assert_rewrite(*(f"tests.contracts.clients.{name}" for name in FLOW_MODULES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("client")


@pytest.fixture(scope="module")
def decoder(document: Document, folder: Path) -> StrictDecoder:
    return StrictDecoder(document, generate(document, folder))


@pytest.fixture(scope="module")
def world(postgres_url: str) -> Iterator[ClientWorld]:
    with open_world(postgres_url) as planted:
        yield planted


@pytest.fixture(scope="module")
def client(decoder: StrictDecoder, world: ClientWorld) -> Iterator[StrictClient]:
    with StrictClient(decoder, world.url, {"Authorization": world.key, "Accept-Language": "en"}) as strict_client:
        yield strict_client


def _load_flows() -> Iterator[Flow]:
    for name in FLOW_MODULES:
        yield from importlib.import_module(f"tests.contracts.clients.{name}").FLOWS


def test_generated_client_reaches_every_success_of_every_operation(
    client: StrictClient, world: ClientWorld, decoder: StrictDecoder, subtests: pytest.Subtests
) -> None:
    """Each flow decodes its answers strictly; an operation that no flow calls is named here."""
    for flow in _load_flows():
        with subtests.test(flow=flow.__name__):
            flow(client, world)

    assert list(decoder.list_unseen()) == []


@pytest.mark.parametrize(
    ("response", "difference"),
    [
        ((200, "application/json", b'{"reservation_id":"7","new":1}'), "Invalid UUID"),
        ((200, "application/json", b'{"state":"sent","changed":true,"new":1}'), "unknown field `new`"),
        ((200, "application/json", b'{"state":"sent","changed":true}'), "missing required field `reservation_id`"),
        ((200, "application/json", b'{"state":"sent","changed":"true"}'), "Expected `bool`, got `str`"),
        ((200, "application/json", b'{"state":"other"}'), "Invalid enum value 'other'"),
        ((200, "text/html", b""), "has only .'application/json'."),
        ((200, "", b""), "has only .'application/json'."),
        ((418, "application/problem+json", b"{}"), "has only .'200', '400', '401'"),
    ],
)
def test_response_that_differs_from_the_document_is_an_error(
    decoder: StrictDecoder, response: tuple[int, str, bytes], difference: str
) -> None:
    """It does not count as seen."""
    with pytest.raises(AssertionError, match=difference):
        decoder.decode("channels_callback", *response)


def test_operation_that_no_flow_calls_is_listed(document: Document, decoder: StrictDecoder) -> None:
    """Also a further success of one that flows call."""
    changed = deepcopy(document)
    changed["paths"]["/api/v1/new"] = {"get": {"operationId": "new", "responses": {"204": {}}}}
    changed["paths"]["/healthz"]["get"]["responses"]["202"] = {}
    further = StrictDecoder(changed, decoder.models)
    further.seen |= {*StrictDecoder(document, decoder.models).list_unseen()}

    assert [each[:2] for each in further.list_unseen()] == [("operation_healthz", "202"), ("new", "204")]


def test_flows_have_the_types_of_the_document(decoder: StrictDecoder, folder: Path) -> None:  # noqa: ARG001 - it writes the models
    """A field that is renamed, or may be null, is an error of the type checker."""
    flows = [str(Path(__file__).parent / f"{name}.py") for name in FLOW_MODULES]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file=",
            "--cache-dir=.mypy_cache/generated_client",
            "--explicit-package-bases",
            *flows,
        ],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )

    assert done.returncode == 0, done.stdout
