"""`/healthz`, `/readyz`, `/metrics`: what orchestrators and monitoring ask."""

from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from api.errors import ApplicationError
from api.http.dependencies import TheServices
from api.http.dependency_status import PARTS
from api.schemas.resources import Readiness
from api.use_cases.run_blocking import run_blocking
from projections.telemetry.exposition import MEDIA_TYPE, Exposition

router = APIRouter(tags=["operation"])

READY_WAIT_S = 2.0
"""A database that takes longer is away, as far as an orchestrator is concerned."""


@router.get("/healthz", summary="The process is alive")
async def healthz() -> dict[str, str]:
    """Says so, and asks nobody else."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Redemptions can't be accepted: the database is away."}},
    summary="Redemptions can be accepted",
)
async def readyz(services: TheServices) -> JSONResponse:
    """200 while redemptions can be accepted; without broker, worker or beat it says degraded, since mails wait."""
    try:
        await run_blocking(READY_WAIT_S, services.reader.ping)
    except ApplicationError:
        detail = "the database does not answer or takes no writes: no redeem can be accepted"
        return JSONResponse({"status": "unavailable", "missing": ["database"], "details": [detail]}, 503)
    missing = services.broker_missing()
    details = [PARTS[part] for part in missing]
    return JSONResponse({"status": "degraded" if missing else "ready", "missing": missing, "details": details})


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """What all processes that share PROMETHEUS_MULTIPROC_DIR counted, and what ledger and broker say of themselves."""
    return Response(cast("Exposition", request.app.state.exposition)(), media_type=MEDIA_TYPE)
