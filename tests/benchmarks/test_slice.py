"""A slice of the benchmarks, run whole: every scenario works, its page comes out, and nothing is left behind."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from benchmarks.harness.plan import QUICK
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="benchmarks")

ROOT = Path(__file__).parents[2]
KEYS = {
    *("empty_rps", "hot_rps", "hot_over_empty", "hot_draining_rps", "spread_rps", "refusals_rps", "repeats_rps"),
    *("codes_rps", "campaign_rps", "campaign_over_codes", "limited_campaign_rps", "limited_campaign_over_codes"),
    *("batch_rps", "batch_over_hot", "redeem_beside_batches_ms"),
    *("drain_rps", "click_to_mail_p50_ms", "click_to_mail_p99_ms", "api_rss_mb", "worker_rss_mb"),
    *("bare_asgi_rps", "wal_bytes_per_redemption", "cli_cpu"),
    "history_cli_cpu",
    *("bytes_per_redemption", "big_over_small", "cold_load_ms", "many_live_over_few", "many_held_over_few"),
}


@pytest.fixture(scope="module")
def ran(servers_folder: Path) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    folder = servers_folder / "bench"
    folder.mkdir()
    inherited = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--docs", str(folder)],
        cwd=ROOT,
        env={**inherited, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )
    return folder, run


def test_every_scenario_runs(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    folder, run = ran
    assert run.returncode == 0, run.stderr
    document = json.loads((folder / "benchmarks.json").read_text())

    sizes = {f"history_{uses}_ms" for uses in QUICK.histories} | {f"live_{count}_ms" for count in QUICK.lives}
    sizes |= {f"log_{events}_rps" for events in QUICK.logs}
    sizes |= {f"first_{page}_{events}_ms" for page in ("view", "chart") for events in QUICK.page_histories}
    # The kernel counts CPU time in ticks of 10 ms, so one part of the stack may show none of a small load, nor the
    # empty endpoint, with which others are compared.
    parts = {"api_cpu_us_per_redeem", "pg_cpu_us_per_redeem", "life_worker_cpu_us", "life_postgres_cpu_us"}
    parts |= {"codes_cpu_us", "campaign_cpu_us", "limited_campaign_cpu_us", "life_cpu_us", "empty_cpu_us"}
    parts |= {"redeem_cpu"} if document["empty_cpu_us"] else set()
    parts |= {"campaign_cpu", "limited_campaign_cpu"} if document.get("codes_cpu_us") else set()
    assert KEYS | sizes | parts <= document.keys()
    assert all(document[key] > 0 for key in KEYS | sizes)
    assert document["finished_redemptions"] >= QUICK.finished


def test_page_names_machine_and_date_but_no_path_and_host(
    ran: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    folder, _ = ran
    text = (folder / "benchmarks.md").read_text()
    facts = json.loads((folder / "benchmarks.json").read_text())["facts"]
    chart = ET.fromstring((folder / "benchmarks.svg").read_text())  # noqa: S314 - it was written by us just now

    assert str(facts["date"]) in text
    assert f"{facts['cpus']} CPUs" in text
    assert str(folder) not in text
    assert socket.gethostname() not in text
    assert "the ledger: one hot code" in "".join(chart.itertext())


def test_run_leaves_no_file_and_no_process(ran: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    folder, _ = ran
    left = [process.info["name"] for process in psutil.process_iter(["name", "cmdline"]) if _about(process, folder)]

    assert sorted(path.name for path in folder.iterdir()) == ["benchmarks.json", "benchmarks.md", "benchmarks.svg"]
    assert left == []


def _about(process: psutil.Process, folder: Path) -> bool:
    return any(str(folder) in word for word in process.info["cmdline"] or ())
