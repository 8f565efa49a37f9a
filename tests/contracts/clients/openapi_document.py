"""The OpenAPI document of this version, without a database behind it."""

from api.main import create_app
from api.settings import ApiSettings
from tests.contracts.clients.strict_decoder import Document
from tests.support.ledger.settings import settings_for


def read_document() -> Document:
    """Return what `/api/v1/openapi.json` answers."""
    settings = settings_for("postgresql:///none").model_dump()
    return create_app(ApiSettings.model_validate(settings)).openapi()
