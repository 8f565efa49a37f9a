"""Health, readiness, metrics and the API's own description."""

import threading

import psycopg
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings
from tests.support.clients.app_client import AppClient


@pytest.fixture
def app(own_app: AppClient) -> AppClient:
    return own_app


def test_missing_broker_is_degraded_not_down(app: AppClient) -> None:
    """An orchestrator must not take the backend away because Celery is dead."""
    response = app.client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["missing"] == ["broker", "worker", "beat"]
    assert "redeem requests are accepted" in response.json()["details"][0]
    assert app.client.get("/healthz").json() == {"status": "alive"}


def test_missing_database_is_503_with_retry_after(app: AppClient, settings: ApiSettings) -> None:
    """No redemption can be accepted, and that is said; when it is back, it continues without a restart."""
    code = app.issue()
    name = settings.database_url.get_secret_value().rpartition("/")[2]
    server = settings.database_url.get_secret_value().replace(name, "postgres")
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        conn.execute("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = %s", (name,))
        unavailable = app.redeem(code)
        ready = app.client.get("/readyz")
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())

    assert (unavailable.status_code, unavailable.json()["code"]) == (503, "UNAVAILABLE")
    assert unavailable.headers["retry-after"]
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert app.redeem(code).status_code == 202


def test_process_that_starts_while_the_database_is_unavailable_waits_for_it(settings: ApiSettings) -> None:
    """Dying and being started again would keep it away for seconds after the database is back."""
    name = settings.database_url.get_secret_value().rpartition("/")[2]
    server = settings.database_url.get_secret_value().replace(name, "postgres")

    def allow(word: str) -> None:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {word}".encode())

    allow("false")
    back = threading.Timer(1.2, allow, ("true",))
    back.start()
    with TestClient(create_app(settings)) as client:
        ready = client.get("/readyz")
    back.join()

    assert ready.status_code == 200


@pytest.mark.parametrize(
    "sample",
    [
        'redeem_requests_total{status="accepted"}',
        'errors_total{error_type="celery_error"}',
        "expired_user_cleanup_total{",
    ],
)
def test_names_of_the_incident_are_there_from_the_first_scrape(app: AppClient, sample: str) -> None:
    """Alerts and dashboards know these names."""
    assert sample in app.client.get("/metrics").text


def test_malformed_redeem_is_counted(app: AppClient) -> None:
    """Every request to /redeem ends in exactly one status."""
    sample = 'redeem_requests_total{status="malformed"}'
    before = value(app, sample)
    app.client.post("/api/v1/public/redeem", content=b"{")
    app.redeem("ABC", "x")

    assert value(app, sample) == before + 2


def test_description_names_every_refusal(app: AppClient) -> None:
    document = app.client.get("/api/v1/openapi.json")
    answers = document.json()["paths"]["/api/v1/public/redeem"]["post"]["responses"]

    assert {"200", "202", "400", "413", "422", "503"} <= answers.keys()
    for code in ("CODE_INVALID", "CODE_EXPIRED", "EMAIL_MISMATCH", "CODE_HELD", "CODE_EXHAUSTED"):
        assert code in document.text


def value(app: AppClient, sample: str) -> float:
    lines = [line for line in app.client.get("/metrics").text.splitlines() if line.startswith(sample)]
    return float(lines[0].rpartition(" ")[2])


def test_database_that_accepts_no_writes_is_503_with_the_reason(app: AppClient, settings: ApiSettings) -> None:
    """As on a standby or a server that an administrator made read-only: questions are answered, redeems are not."""
    url = settings.database_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on".encode())
        conn.execute(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        ready = app.client.get("/readyz")

    assert (ready.status_code, ready.json()["missing"]) == (503, ["database"])
    assert ready.json()["details"] == [
        "the database is a standby or read-only: it accepts no writes; no redeem request can be accepted"
    ]
