"""Where a tracker is, and how its address is told: a password in it never is."""

import os
import re
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from convarium.errors import UserError

ADDRESS_EXAMPLES = (
    "expected sqlite:///outputs/mlflow.db, postgresql://user:password@host/database, http://host:port or https://…"
)
PASSWORD_PATTERN = re.compile(r"(://[^/\s:@]*):\S*@")
SECRET_PARAMETER_PATTERN = re.compile(r"([?&][a-z_]*(?:password|passwd|pwd|secret|token)=)([^&\s'\"]+)", re.IGNORECASE)
DATABASE_DRIVERS = {"postgresql": "postgresql+psycopg2", "sqlite": "sqlite+pysqlite"}
SCHEME_HINTS = {
    "file": "MLflow keeps no runs in plain files any more; write sqlite:///outputs/mlflow.db",
    "": "it has no scheme; write sqlite:///outputs/mlflow.db, or leave it out",
    "postgres": "write postgresql://…",
}


def resolve_tracker_address(uri: str | None, store_root: Path) -> str:
    """Return the tracker's address: what was asked for, else MLFLOW_TRACKING_URI, else a SQLite file beside the store.

    Raises:
        UserError: an address of a kind that is not supported, or a file in a folder that is not there.
    """
    from convarium.tracking import sqlite_address

    found = (
        uri
        or os.environ.get("MLFLOW_TRACKING_URI")
        or sqlite_address.format_sqlite_address(store_root.resolve().parent / "mlflow.db")
    )
    scheme = get_address_scheme(found)
    if re.search(r"\s", found) and scheme != "sqlite":
        raise UserError(f"tracker: its address of {scheme or 'no scheme'} holds a space; write %20")
    if scheme not in ("sqlite", "postgresql", "http", "https"):
        raise UserError(f"tracker {mask_passwords(found)}: {SCHEME_HINTS.get(scheme, ADDRESS_EXAMPLES)}")
    if scheme == "sqlite":
        return sqlite_address.check_sqlite_address(found, store_root.resolve().parent)
    if found.split("?")[0].count("@") > 1:
        raise UserError(
            f"tracker {mask_passwords(found)}: its address holds a second @; write %40 for the one in the password"
        )
    if not _has_host(found):
        raise UserError(f"tracker {mask_passwords(found)}: it names no host; {ADDRESS_EXAMPLES}")
    return found


def get_address_scheme(uri: str) -> str:
    """Return an address's scheme, such as "sqlite", without a driver's name; "" for a bare path."""
    scheme, colon, _ = uri.partition(":")
    return scheme.partition("+")[0].lower() if colon else ""


def add_database_driver(uri: str) -> str:
    """Return an address that names its driver: SQLAlchemy would choose another one than that which is installed.

    Of a SQLite address without it MLflow takes what stands there for a path, and makes its folder, %3F and all.
    """
    scheme, colon, rest = uri.partition(":")
    return f"{DATABASE_DRIVERS.get(scheme, scheme)}{colon}{rest}"


def mask_passwords(text: str) -> str:
    """Return a text in which every password of an address is hidden."""
    return SECRET_PARAMETER_PATTERN.sub(r"\1***", PASSWORD_PATTERN.sub(r"\1:***@", text))


def remove_password(text: str, uri: str) -> str:
    """Return a text without the password of `uri`, wherever and however it is written."""
    for secret in _list_passwords(uri):
        text = text.replace(secret, "***")
    return mask_passwords(text)


def _list_passwords(uri: str) -> set[str]:
    """Return every password of an address, as it is written and as it is meant."""
    written = {secret for _, secret in SECRET_PARAMETER_PATTERN.findall(uri)}
    with suppress(ValueError):
        written.add(urlsplit(uri).password or "")
    return {form for secret in written if secret for form in (secret, unquote(secret))}


def _has_host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
