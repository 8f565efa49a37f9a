"""`/healthz`, `/readyz`, `/metrics`: for orchestrators and monitoring."""

from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from api.errors import ApplicationError
from api.http.dependencies import TheServices
from api.http.dependency_status import describe_missing
from api.schemas.resources import Readiness
from api.use_cases.run_blocking import run_blocking
from projections.config.broker_url import BrokerUrl
from projections.monitoring.commit_probe import UNCONFIRMED, NoCommitError
from projections.telemetry.exposition import MEDIA_TYPE, Exposition

router = APIRouter(tags=["operation"])

READY_WAIT_S = 2.0
"""A database that takes longer, in seconds, counts as unavailable."""


@router.get("/healthz", summary="Check that the process is alive")
async def healthz() -> dict[str, str]:
    """Returns 200 while the process runs. Checks no dependencies."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={
        503: {"model": Readiness, "description": "Redeem requests cannot be accepted: the database is unavailable."}
    },
    summary="Check that redeem requests can be accepted",
)
async def readyz(services: TheServices) -> JSONResponse:
    """Returns 200 while redeem requests can be accepted: a small commit succeeds.

    `degraded`: without broker, worker or beat, emails wait.
    """
    try:
        await run_blocking(READY_WAIT_S, services.check_commit)
    except ApplicationError as error:
        why = error.__cause__ if isinstance(error.__cause__, NoCommitError) else UNCONFIRMED
        detail = f"{why}; no redeem request can be accepted"
        return JSONResponse({"status": "unavailable", "missing": ["database"], "details": [detail]}, 503)
    missing = services.broker_missing()
    product = BrokerUrl.parse(services.settings.redis_url.get_secret_value()).product
    details = [describe_missing(part, product) for part in missing]
    return JSONResponse({"status": "degraded" if missing else "ready", "missing": missing, "details": details})


@router.get(
    "/metrics",
    summary="Get metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Returns metrics of the processes that share PROMETHEUS_MULTIPROC_DIR, of the ledger and of the broker."""
    return Response(cast("Exposition", request.app.state.exposition)(), media_type=MEDIA_TYPE)
