"""Leaves out Celery's delayed delivery over RabbitMQ, which would declare 28 quorum queues at each worker's start.

The ledger has no delayed messages: what is due later is in the database.
"""

from celery.worker.consumer import Consumer

STEP = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


def leave_out_delayed_delivery() -> None:
    """Remove the step from the start of workers."""
    steps = Consumer.Blueprint.default_steps
    if STEP in steps:
        steps.remove(STEP)
