"""Public tools accept the OpenAPI document; `make check` has it linted by Redocly and Spectral too."""

import json
from copy import deepcopy

import pytest
from openapi_spec_validator import validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from tests.contracts.clients.node_programs import LOCK
from tests.contracts.clients.strict_decoder import Document


def test_document_is_valid_by_the_specification(document: Document) -> None:
    """By the schema of OpenAPI 3.1, and each default by the schema of its field."""
    validate(document)


def test_validator_notices_a_default_that_its_schema_forbids(document: Document) -> None:
    """A generated client would send it, or not start."""
    broken = deepcopy(document)
    broken["components"]["schemas"]["CampaignRequest"]["properties"]["name"]["default"] = ""

    with pytest.raises(OpenAPIValidationError, match="should be non-empty"):
        validate(broken)


def test_node_lock_has_digests_and_names_no_host() -> None:
    """As the locks of Python packages: only known content is installed, from wherever a machine is configured to."""
    packages = {name: pin for name, pin in json.loads(LOCK.read_text("utf-8"))["packages"].items() if name}

    assert len(packages) > 100
    assert [name for name, pin in packages.items() if not pin["integrity"].startswith("sha512-")] == []
    assert [name for name, pin in packages.items() if "resolved" in pin] == []
