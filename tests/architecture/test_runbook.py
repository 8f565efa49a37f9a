"""The runbook: a row for each alert, five parts in each section, and commands that exist in each deployment."""

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.architecture.sources import ROOT, read
from tests.support.promql import alerts

PAGE = read("docs/how-to/runbook.md")
PARTS = ["See", "Decide", "Act", "Over when", "Tell support"]
DEPLOYMENTS = {"ledger up", "Compose", "cluster"}
BLOCK = re.compile(r"```sh\n.*?```", re.DOTALL)
LINE = re.compile(r"^(.*\S) +# ([\w, ]+)$")
SERVICE = re.compile(
    r"docker compose (?:exec|run|logs|ps|restart|up)(?: -{1,2}[a-z-]+(?: \d+h?m?| '[^']*')?)*((?: [a-z_]+)*)"
)
PACKAGE_UNITS = {"etcd", "patroni", "haproxy", "valkey-server", "valkey-sentinel", "nginx"}
"""Units of Debian's packages that docs/how-to/cluster.md and docs/how-to/tls.md install."""
ROWS = re.findall(r"^\| `(Ledger\w+)` \| (page|ticket) \| \[.+\]\(#([\w-]+)\) \| `(.+)` \|$", PAGE, re.MULTILINE)


def sections() -> dict[str, str]:
    texts = re.split(r"^## (.+)\n", PAGE, flags=re.MULTILINE)
    return {name.lower().replace(" ", "-"): text for name, text in zip(texts[1::2], texts[2::2], strict=True)}


SECTIONS = sections()
OF_ALERTS = sorted({row[2] for row in ROWS} | {"no-commit"})


def commands(section: str) -> Iterator[tuple[str, set[str]]]:
    """Each command of a section, with the deployments that its comment names."""
    for block in BLOCK.findall(section):
        for line in block.splitlines()[1:-1]:
            match = LINE.match(line)
            assert match, f"no deployment at its end: {line}"
            yield match[1].strip(), set(match[2].split(", "))


def commands_of(deployment: str) -> list[str]:
    return [command for anchor in OF_ALERTS for command, named in commands(SECTIONS[anchor]) if deployment in named]


def test_every_alert_has_its_row() -> None:
    rules = [
        (
            rule["alert"],
            rule["labels"]["severity"],
            rule["annotations"]["runbook_url"].partition("#")[2],
            rule["annotations"]["first_command"],
        )
        for rule in alerts()
    ]

    assert [(name, severity, anchor, command.replace("\\|", "|")) for name, severity, anchor, command in ROWS] == rules


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_first_command_of_an_alert_is_the_first_of_its_section(rule: dict[str, dict[str, str]]) -> None:
    """The alert, the table and the section say the same; the section names the alert."""
    text = SECTIONS[rule["annotations"]["runbook_url"].partition("#")[2]]
    first = next(command for command, named in commands(text) if "Compose" in named)

    assert rule["annotations"]["first_command"] == first
    assert str(rule["alert"]) in text.lstrip().splitlines()[0]


@pytest.mark.parametrize("anchor", OF_ALERTS)
def test_section_has_five_parts_and_commands_for_every_deployment(anchor: str) -> None:
    """In this order; a block of commands without `ledger up` says in words what to do there."""
    text = SECTIONS[anchor].partition("\n### ")[0]
    blocks = BLOCK.findall(text)
    lacking = [DEPLOYMENTS - {each for _, named in commands(block) for each in named} for block in blocks]

    assert re.findall(r"^\*\*([A-Z][\w ]+?)\.?\*\*", text, re.MULTILINE) == PARTS
    assert lacking[0] == set()
    assert [
        missing for missing in lacking if missing and (missing != {"ledger up"} or "ith `ledger up`" not in text)
    ] == []
    assert {each for _, named in commands(text) for each in named} == DEPLOYMENTS


def test_commands_of_compose_name_services_that_exist() -> None:
    services = set(yaml.safe_load(read("compose.yaml"))["services"])
    named = {
        match[1].split()[0] for command in commands_of("Compose") for match in SERVICE.finditer(command) if match[1]
    }

    assert named > {"backend", "celery_worker", "celery_beat", "db", "redis", "migrate"}
    assert named - services == set()


def test_commands_of_the_cluster_name_units_that_exist() -> None:
    """Those of deploy/ha/systemd, and those of packages."""
    systemd = ROOT / "deploy/ha/systemd"
    units = {path.stem for path in systemd.glob("*.service")} | {path.name for path in systemd.glob("*.timer")}
    units |= PACKAGE_UNITS
    text = "\n".join(commands_of("cluster"))
    named = {unit for command in re.findall(r"(?:systemctl|journalctl)[^|\n&]*", text) for unit in command.split()}
    words = {unit for unit in named if unit.startswith("ledger-") or unit in PACKAGE_UNITS}

    assert words > {"ledger-worker", "ledger-beat", "ledger-backend", "patroni"}
    assert words - units == set()


def test_commands_of_a_machine_name_files_of_the_data_folder() -> None:
    """Each log is that of a program that `ledger up` starts."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "api/cli/embedded/services").glob("*.py"))
    programs = set(re.findall(r'Program\(\s*(?:name=)?"(\w+)"', source))
    named = set(re.findall(r"\.ledger/logs/(\w+)\.log", "\n".join(commands_of("ledger up"))))

    assert named >= {"worker", "beat", "api", "postgres"}
    assert named - programs == set()
