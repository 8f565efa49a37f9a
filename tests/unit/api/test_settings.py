from pathlib import Path

import pytest
from pydantic import ValidationError

from api.settings import ApiSettings
from tests.support.ledger.settings import settings_for

PROVIDER = {"oidc_issuer": "https://id.example.com", "oidc_client_id": "ledger", "oidc_roles": "a=admin"}


def read(**values: object) -> ApiSettings:
    required = settings_for("postgresql://127.0.0.1/ledger").model_dump()
    return ApiSettings.model_validate({**required, "DATABASE_URL": "postgresql://127.0.0.1/ledger", **values})


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"oidc_client_id": None}, "LEDGER_OIDC_CLIENT_ID"),
        ({"oidc_roles": ""}, "LEDGER_OIDC_ROLES"),
        ({"oidc_scopes": "email"}, "LEDGER_OIDC_SCOPES"),
        ({"oidc_client_secret_file": Path("/nonexistent/secret")}, "LEDGER_OIDC_CLIENT_SECRET_FILE"),
        ({"oidc_issuer": None, "password_sign_in": "off"}, "LEDGER_PASSWORD_SIGN_IN"),
        ({"oidc_issuer": "http://id.example.com"}, "https://id.example.com/realm"),
        ({"oidc_issuer": "https://id.example.com/?a=b"}, "https://id.example.com/realm"),
        ({"oidc_roles": "a=owner"}, "ledger-admins=admin"),
    ],
)
def test_single_sign_on_needs_all_of_its_settings(changed: dict[str, object], variable: str) -> None:
    with pytest.raises(ValidationError, match=variable):
        read(**{**PROVIDER, **changed})


@pytest.mark.parametrize("issuer", ["http://localhost:8080/realm", "http://127.0.0.1:8080", "http://[::1]:8080"])
def test_issuer_on_this_machine_may_be_plain(issuer: str, tmp_path: Path) -> None:
    """For tests and demos."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")

    settings = read(**{**PROVIDER, "oidc_issuer": issuer, "oidc_client_secret_file": secret})

    read_secret = settings.read_client_secret()
    assert read_secret is not None
    assert read_secret.get_secret_value() == "s3cret"
