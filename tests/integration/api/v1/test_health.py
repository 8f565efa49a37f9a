"""Health, readiness, metrics and the API's own description."""

import threading

import psycopg
import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from api.settings import ApiSettings
from tests.support.clients.app_client import Site


def test_a_missing_broker_is_degraded_not_down(site: Site) -> None:
    """An orchestrator must not take the backend away because Celery is dead."""
    response = site.client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["missing"] == ["broker", "worker", "beat"]
    assert "redeems are accepted" in response.json()["details"][0]
    assert site.client.get("/healthz").json() == {"status": "alive"}


def test_a_missing_database_is_503_with_retry_after(site: Site, settings: ApiSettings) -> None:
    """No redemption can be accepted, and that is said; when it is back, it goes on without a restart."""
    code = site.issue()
    name = settings.database_url.get_secret_value().rpartition("/")[2]
    server = settings.database_url.get_secret_value().replace(name, "postgres")
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        away = site.redeem(code)
        ready = site.client.get("/readyz")
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())

    assert (away.status_code, away.json()["code"]) == (503, "UNAVAILABLE")
    assert away.headers["retry-after"]
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert site.redeem(code).status_code == 202


def test_a_process_that_starts_while_the_database_is_away_waits_for_it(settings: ApiSettings) -> None:
    """Dying and being started anew would keep it away for seconds after the database is back."""
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
def test_the_names_of_the_incident_are_there_from_the_first_scrape(site: Site, sample: str) -> None:
    """Alerts and dashboards know these names."""
    assert sample in site.client.get("/metrics").text


def test_a_malformed_redeem_is_counted(site: Site) -> None:
    """Every request to /redeem ends in exactly one status."""
    sample = 'redeem_requests_total{status="malformed"}'
    before = value(site, sample)
    site.client.post("/api/v1/public/redeem", content=b"{")
    site.redeem("ABC", "x")

    assert value(site, sample) == before + 2


def test_the_description_names_every_refusal(site: Site) -> None:
    """OpenAPI lists the public refusals with examples."""
    document = site.client.get("/api/v1/openapi.json")
    answers = document.json()["paths"]["/api/v1/public/redeem"]["post"]["responses"]

    assert {"200", "202", "400", "413", "422", "503"} <= answers.keys()
    for code in ("CODE_INVALID", "CODE_EXPIRED", "EMAIL_MISMATCH", "CODE_HELD", "CODE_EXHAUSTED"):
        assert code in document.text


def value(site: Site, sample: str) -> float:
    """A sample's present value."""
    lines = [line for line in site.client.get("/metrics").text.splitlines() if line.startswith(sample)]
    return float(lines[0].rpartition(" ")[2])
