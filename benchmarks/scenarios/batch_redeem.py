"""Redemptions per second by batches on one hot code, and how long a single redeem takes next to them."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count

from benchmarks.harness.load_generators import BenchmarkError, RedeemClient
from benchmarks.harness.plan import BenchmarkPlan
from benchmarks.harness.stack import BenchmarkStack
from benchmarks.scenarios.redeem_throughput import Numbers, measure_latencies, pause_workers_and_settle

BATCH = "/api/v1/redemptions/batch"
CLIENTS = 2
"""Clients that send one batch after the other, so that the server never waits for the next one."""
_RESERVED = "SELECT count(*) FROM ledger_events WHERE topic = 'UseReserved:1'"
_runs = count(1)


def measure_batches(stack: BenchmarkStack, plan: BenchmarkPlan, code: str) -> Numbers:
    """Measure batches alone, and single redeems of another code during batches.

    Raises:
        BenchmarkError: An item was refused, or the log does not have a reservation for each item.
    """
    other = stack.issue()
    with pause_workers_and_settle(stack):
        before, began = _count_reservations(stack), time.perf_counter()
        with _send_batches(stack, plan.batch_items, code) as sent:
            time.sleep(plan.seconds)
        seconds = time.perf_counter() - began
        accepted, reservations = sum(sent), _count_reservations(stack) - before
        if accepted != reservations:
            raise BenchmarkError(f"{accepted} items were accepted, and the log has {reservations} reservations")
        with _send_batches(stack, plan.batch_items, code):
            latencies = measure_latencies(stack, {"redeem_beside_batches_ms": other}, plan.pairs)
    return {"batch_rps": accepted / seconds, **latencies}


@contextmanager
def _send_batches(stack: BenchmarkStack, items: int, code: str) -> Iterator[list[int]]:
    """Send batches until the end of the block, and give the number of accepted items of each."""
    is_over, accepted, run = threading.Event(), list[int](), next(_runs)

    def send(client_number: int) -> None:
        with closing(RedeemClient(stack.base)) as client:
            for number in count():
                if is_over.is_set():
                    return
                accepted.append(_send_batch(stack, client, code, f"b{run}x{client_number}x{number}", items))

    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(send, number) for number in range(CLIENTS)]
        try:
            yield accepted
        finally:
            is_over.set()
        for client in clients:
            client.result()


def _send_batch(stack: BenchmarkStack, client: RedeemClient, code: str, prefix: str, items: int) -> int:
    """Send a batch for new recipients and return the number of accepted items.

    Raises:
        BenchmarkError: An item was not accepted.
    """
    body = {"items": [{"email": f"{prefix}n{number}@example.com", "code": code} for number in range(items)]}
    response = client.post(BATCH, body, {"Authorization": f"Bearer {stack.info['admin_key']}"})
    if response["accepted"] != items:
        raise BenchmarkError(f"{response['accepted']} of {items} items were accepted")
    return items


def _count_reservations(stack: BenchmarkStack) -> int:
    return int(stack.query_rows(_RESERVED)[0][0])
