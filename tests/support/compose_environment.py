"""The environment of a service's containers, merged from the files of a deployment as Docker Compose merges them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from projections.config.variables import parse_variables

ROOT = Path(__file__).parents[2]
IMAGE = re.findall(r"\b(LEDGER_\w+)=(\S+)", (ROOT / "Dockerfile").read_text("utf-8"))
REFERENCE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}")


def services_of(compose_file: Path) -> dict[str, dict[str, Any]]:
    """The services of a compose file, with what they share."""
    return dict(yaml.safe_load(compose_file.read_text("utf-8"))["services"])


def referenced_names(compose_file: Path) -> set[str]:
    """Names of the variables that a compose file takes from the shell or from `.env`."""
    return {name for name, _ in REFERENCE.findall(compose_file.read_text("utf-8"))}


def files_of(compose_file: Path, service: str) -> list[Path]:
    """Paths of the environment files of a service that are part of the repository."""
    named = services_of(compose_file)[service].get("env_file", [])
    return [compose_file.parent / path for path in named if isinstance(path, str)]


def environment_of(compose_file: Path, service: str, dotenv: str, shell: Mapping[str, str]) -> dict[str, str]:
    """The variables of a container: of the image, then of `env_file` in its order, then of `environment`.

    Args:
        compose_file: The compose file.
        service: One of its services.
        dotenv: Text of the `.env` next to it, which also fills the compose file's references.
        shell: Variables of the shell, which take precedence over it there.
    """
    own = parse_variables(dotenv)
    variables = {**own, **shell}

    def fill(reference: re.Match[str]) -> str:
        return variables.get(reference[1]) or reference[2] or ""

    environment = dict(IMAGE)
    declared = services_of(compose_file)[service]
    for path in declared.get("env_file", []):
        if isinstance(path, str):
            environment |= parse_variables((compose_file.parent / path).read_text("utf-8"))
        elif path == {"path": ".env", "required": False}:
            environment |= own
        else:
            raise ValueError(f"{path} of {service} is an environment file that this model does not know")
    values = declared.get("environment", {})
    return environment | {name: REFERENCE.sub(fill, str(value)) for name, value in values.items()}
