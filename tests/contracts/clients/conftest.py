"""The documents that generators read; without Node.js only the Python client is tested."""

import pytest

from tests.contracts.clients.openapi_document import read_document
from tests.contracts.clients.strict_decoder import Document
from tests.support.optional_packages import may_run

collect_ignore = (
    []
    if may_run("Node.js")
    else ["test_typescript_client.py", "test_typescript_package.py", "test_asyncapi_document.py"]
)


@pytest.fixture(scope="session")
def document() -> Document:
    return read_document()
