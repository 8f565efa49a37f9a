"""Memory of an uploaded list, which may have a million lines."""

import gc
import io
import tracemalloc
from collections.abc import Iterator
from uuid import UUID

import pytest

from api.code_import.file_reader import Records
from api.code_import.hand_out_upload import HandOutUpload
from api.code_import.import_pipeline import Pipeline
from api.code_import.recipient_list import RECIPIENT_FILE
from api.use_cases.services import Caller
from tests.support.clients.app_client import AppClient


@pytest.fixture
def prompt_collector(app: AppClient) -> Iterator[None]:
    """Collects garbage soon, also that of a thread which asks for a broker many times a second and finds none."""
    del app  # an application sets thresholds when it starts
    thresholds = gc.get_threshold()
    gc.set_threshold(200, 5, 1000)
    yield
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("prompt_collector")
def test_memory_of_an_upload_does_not_grow_with_the_list(app: AppClient) -> None:
    """Four times the lines need no more than some bytes each, for the search of repeated ones."""
    client, key = app.client, app.key("admin")
    peaks = []
    for count in (800, 3_200):
        content = "email,name\n" + "".join(f"person{nth}@example.com,Person {nth}\n" for nth in range(count))
        campaign = client.post("/api/v1/campaigns", json={"name": "Autumn"}, headers=key).json()["id"]
        order = {"campaign": campaign, "name": "Newsletter"}
        hand_out = UUID(client.post("/api/v1/hand-outs", json=order, headers=key).json()["id"])
        file = io.BytesIO(content.encode())
        tracemalloc.start()
        source = Records(file, "csv", RECIPIENT_FILE)
        upload = HandOutUpload.open(app.services, Caller(actor="operator"), hand_out, source, "en")
        result = Pipeline(upload).run(dry_run=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert result.new == count

    assert peaks[1] - peaks[0] < 300_000
