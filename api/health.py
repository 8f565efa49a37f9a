"""`/healthz`, `/readyz`, `/metrics`: what orchestrators and monitoring ask."""

import os

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from api.broker import PARTS
from api.deps import TheServices
from api.problems import ProblemError
from api.schemas import Readiness

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
        await services.read(services.reader.ping, READY_WAIT_S)
    except ProblemError:
        told = "the database does not answer or takes no writes: no redeem can be accepted"
        return JSONResponse({"status": "unavailable", "missing": ["database"], "details": [told]}, 503)
    missing = services.broker_missing()
    details = [PARTS[part] for part in missing]
    return JSONResponse({"status": "degraded" if missing else "ready", "missing": missing, "details": details})


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
def metrics() -> Response:
    """All processes that share PROMETHEUS_MULTIPROC_DIR, added up; else this process alone."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # prometheus_client ships this one without types
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
