"""Open streams are counted before they begin, bounded in all and for each client, and always released."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from api.errors import ApplicationError
from api.http.server.stream_slots import (
    STATUS_STREAMS_MAX,
    STATUS_STREAMS_PER_CLIENT_MAX,
    SlotStreamingResponse,
    StreamSlots,
)
from tests.support.clients.app_client import AppClient


async def _events() -> AsyncIterator[bytes]:
    yield b"data: 1\n\n"


def acquire_for_each(slots: StreamSlots, clients: list[str]) -> list[str]:
    outcomes = []
    for client in clients:
        try:
            slots.acquire(client)
        except ApplicationError as error:
            outcomes.append(error.code)
        else:
            outcomes.append("taken")
    return outcomes


def test_streams_that_have_not_begun_are_counted(shared_app: AppClient) -> None:
    """Many that are asked for at the same time can't pass the maximum together."""
    slots = shared_app.client.app.state.streams  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    code = shared_app.issue()
    path = f"/api/v1/public/redemptions/{shared_app.redeem(code).json()['reservation_id']}/stream"
    open_slots = [slots.acquire(f"198.51.100.{number}") for number in range(STATUS_STREAMS_MAX)]

    full = shared_app.client.get(path)
    for slot in open_slots:
        slot.release()

    assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "OVERLOADED", "5")
    assert len(slots) == 0


def test_one_client_can_not_take_all_streams(shared_app: AppClient) -> None:
    slots = shared_app.client.app.state.streams  # type: ignore[attr-defined]  # Starlette types it as any ASGI application
    path = f"/api/v1/public/redemptions/{shared_app.redeem(shared_app.issue()).json()['reservation_id']}/stream"
    open_slots = [slots.acquire("testclient") for _ in range(STATUS_STREAMS_PER_CLIENT_MAX)]

    limited = shared_app.client.get(path)
    other = slots.acquire("198.51.100.1")
    for slot in [*open_slots, other]:
        slot.release()

    assert (limited.status_code, limited.json()["code"]) == (429, "RATE_LIMITED")
    assert int(limited.headers["retry-after"]) > 0
    assert len(slots) == 0


def test_addresses_of_one_ipv6_link_share_their_seats() -> None:
    """And callers without an address have no share of their own."""
    slots = StreamSlots(10, per_client_max=2)

    assert acquire_for_each(slots, [f"2001:db8::{n}" for n in range(3)]) == ["taken", "taken", "RATE_LIMITED"]
    assert [slots.acquire() for _ in range(3)]
    assert len(slots) == 5


@pytest.mark.parametrize("leaves", [False, True], ids=["reads", "leaves"])
def test_seat_is_released_when_its_stream_ends_or_its_client_leaves_before_it_begins(leaves: bool) -> None:
    """Otherwise slots would be lost one after the other."""
    slots = StreamSlots(1)
    stream = SlotStreamingResponse(slots.acquire("c"), _events())

    async def receive() -> Message:
        if not leaves:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        if leaves:
            await asyncio.sleep(60)

    asyncio.run(stream({"type": "http", "asgi": {"spec_version": "2.0"}}, receive, send))

    assert len(slots) == 0
