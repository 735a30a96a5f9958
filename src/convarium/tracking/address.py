"""Where a tracker is, and how its address is told: a password in it never is."""

import os
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from convarium.errors import UserError

SCHEMES = (
    "expected sqlite:///outputs/mlflow.db, postgresql://user:password@host/database, http://host:port or https://…"
)
SECRET = re.compile(r"(://[^/\s:@]*):\S*@")
PARAMETER = re.compile(r"([?&][a-z_]*(?:password|passwd|pwd|secret|token)=)([^&\s'\"]+)", re.IGNORECASE)
DRIVERS = {"postgresql": "postgresql+psycopg2", "sqlite": "sqlite+pysqlite"}
HINTS = {
    "file": "MLflow keeps no runs in plain files any more; write sqlite:///outputs/mlflow.db",
    "": "it has no scheme; write sqlite:///outputs/mlflow.db, or leave it out",
    "postgres": "write postgresql://…",
}


def address(uri: str | None, store: Path) -> str:
    """Return the tracker's address: what was asked for, else MLFLOW_TRACKING_URI, else a SQLite file beside the store.

    Raises:
        UserError: an address of a kind that is not supported, or a file in a folder that is not there.
    """
    from convarium.tracking import sqlite

    found = uri or os.environ.get("MLFLOW_TRACKING_URI") or sqlite.address(store.resolve().parent / "mlflow.db")
    scheme = kind(found)
    if re.search(r"\s", found) and scheme != "sqlite":
        raise UserError(f"tracker: its address of {scheme or 'no scheme'} holds a space; write %20")
    if scheme not in ("sqlite", "postgresql", "http", "https"):
        raise UserError(f"tracker {masked(found)}: {HINTS.get(scheme, SCHEMES)}")
    if scheme == "sqlite":
        return sqlite.checked(found, store.resolve().parent)
    if found.split("?")[0].count("@") > 1:
        raise UserError(f"tracker {masked(found)}: its address holds a second @; write %40 for the one in the password")
    if not _host(found):
        raise UserError(f"tracker {masked(found)}: it names no host; {SCHEMES}")
    return found


def kind(uri: str) -> str:
    """Return an address's scheme, such as "sqlite", without a driver's name; "" for a bare path."""
    scheme, colon, _ = uri.partition(":")
    return scheme.partition("+")[0].lower() if colon else ""


def driven(uri: str) -> str:
    """Return an address that names its driver: SQLAlchemy would choose another one than that which is installed.

    Of a SQLite address without it MLflow takes what stands there for a path, and makes its folder, %3F and all.
    """
    scheme, colon, rest = uri.partition(":")
    return f"{DRIVERS.get(scheme, scheme)}{colon}{rest}"


def masked(text: str) -> str:
    """Return a text in which every password of an address is hidden."""
    return PARAMETER.sub(r"\1***", SECRET.sub(r"\1:***@", text))


def hidden(text: str, uri: str) -> str:
    """Return a text without the password of `uri`, wherever and however it is written."""
    for secret in _secrets(uri):
        text = text.replace(secret, "***")
    return masked(text)


def _secrets(uri: str) -> set[str]:
    """Return every password of an address, as it is written and as it is meant."""
    written = {secret for _, secret in PARAMETER.findall(uri)}
    with suppress(ValueError):
        written.add(urlsplit(uri).password or "")
    return {form for secret in written if secret for form in (secret, unquote(secret))}


def _host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
