"""Passwords of database URLs, which a URL or a file holds."""

from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from projections.config.url_validation import validate_database_url


def add_password(url: str, file: str | Path | None) -> str:
    """Return the URL with the password that a file holds, if a file is named and the URL has none.

    Raises:
        ValueError: The URL or the file can't be read.
    """
    if not file or read_password(validate_database_url(url)):
        return url
    try:
        password = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"the password file {file} cannot be read ({error.strerror}): correct its path") from error
    return make_conninfo(url, password=password)


def read_password(url: str) -> str:
    """Return the password of a database URL; an empty text if it has none."""
    return str(conninfo_to_dict(url).get("password") or "")


def split_password(url: str) -> tuple[str, str]:
    """Return the URL as a connection string without its password, and the password; an empty text if it has none."""
    parameters = conninfo_to_dict(url)
    password = str(parameters.pop("password", None) or "")
    return make_conninfo("", **parameters), password
