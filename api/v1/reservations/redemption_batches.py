"""Batch redeem: many redeem requests of a shop or a bot in one HTTP request."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from api.errors import ApplicationError
from api.http.blocking_route import JsonRoute
from api.http.dependencies import MayRedeemBatches, TheLanguage, TheServices
from api.http.openapi import PROTECTED, problem_responses
from api.http.problems import retry_headers, status_of
from api.i18n.messages import refusal_detail
from api.schemas.redemption_batch import BatchRedeemRequest, BatchRedeemView
from api.use_cases.redeem_batch import BatchItem, ItemResult, redeem_batch
from api.v1.public.redeem import ACCEPTED, json_response
from domain.ports import Language
from projections.telemetry.log_setup import FactLog
from projections.telemetry.metrics import REDEEM_BATCH_ITEMS

PATH: Final = "/api/v1/redemptions/batch"
REPEATED: Final = 200
BATCHES: Final = FactLog(__name__)

router = APIRouter(route_class=JsonRoute, tags=["redemptions"])


@router.post(
    PATH,
    response_model=BatchRedeemView,
    responses={
        **PROTECTED,
        **problem_responses("BODY_TOO_LARGE", "OVERLOADED", status_413="BODY_TOO_LARGE: over 1 MiB."),
    },
    summary="Redeem up to 1,000 codes",
)
async def redeem_codes(
    body: BatchRedeemRequest, services: TheServices, language: TheLanguage, caller: MayRedeemBatches
) -> Response:
    """Redeems each item as a single request with the same API key does, in the order of the items.

    A refusal is the result of its item. A malformed body is rejected with 422, which gives the position of each error;
    no item is redeemed then. The response is sent after all accepted items are committed.

    If the database becomes unavailable, the items that were not decided have status 503. If no item was decided, the
    response is 503. After that, send the same body again: an item that was accepted has status 200.
    """
    items = [BatchItem(each.email, each.code, each.again, each.key) for each in body.items]
    REDEEM_BATCH_ITEMS.observe(len(items))
    results = await redeem_batch(services, caller, items, language=language)
    shown = [_result_view(result, language) for result in results]
    statuses = Counter(result["status"] for result in shown)
    counts = {"accepted": statuses[ACCEPTED], "known": statuses[REPEATED]}
    counts["refused"] = len(shown) - sum(counts.values())
    BATCHES.info("batch redeemed", {**counts, "request_id": caller.request_id})
    headers = {"Content-Language": language, **retry_headers(_retry_after_s(results))}
    return json_response({**counts, "results": shown}, 200, headers)


def _result_view(result: ItemResult, language: Language) -> dict[str, object]:
    view: dict[str, object]
    if isinstance(result, ApplicationError):
        view = {
            "status": status_of(result.code),
            "code": result.code,
            "detail": refusal_detail(result.code, language, **result.facts),
        }
        if result.retry_after_s is not None:
            view["retry_after_s"] = result.retry_after_s
        return view
    reservation = result.reservation
    view = {
        "status": ACCEPTED if result.created else REPEATED,
        "reservation_id": reservation.reservation_id,
        "state": reservation.public_state,
    }
    if reservation.refund_cause is not None:
        view["detail_code"] = reservation.refund_cause
    if result.correction_token is not None:
        view["correction_token"] = result.correction_token
    return view


def _retry_after_s(results: Sequence[ItemResult]) -> int | None:
    """Return the seconds after which items that were not decided may be sent again; None if all were."""
    waits = [
        result.retry_after_s
        for result in results
        if isinstance(result, ApplicationError) and result.code in {"UNAVAILABLE", "OVERLOADED"}
    ]
    return max((wait for wait in waits if wait is not None), default=None)
