"""The address of a tracker: which one counts, whether it is valid, and how it is printed without its password."""

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
        UserError: the address is of a kind that is not supported, names no host, or a file in a folder that is missing.
    """
    from convarium.tracking import sqlite_address  # it imports SQLAlchemy

    default_folder = store_root.resolve().parent
    address = uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        address = sqlite_address.format_sqlite_address(default_folder / "mlflow.db")
    scheme = get_address_scheme(address)
    if re.search(r"\s", address) and scheme != "sqlite":
        # The address is not printed: with a space in it no pattern finds where a password ends.
        raise UserError(f"tracker: its address of {scheme or 'no scheme'} holds a space; write %20")
    if scheme not in ("sqlite", "postgresql", "http", "https"):
        raise UserError(f"tracker {mask_passwords(address)}: {SCHEME_HINTS.get(scheme, ADDRESS_EXAMPLES)}")
    if scheme == "sqlite":
        return sqlite_address.check_sqlite_address(address, default_folder)
    if address.split("?")[0].count("@") > 1:
        raise UserError(
            f"tracker {mask_passwords(address)}: its address holds a second @; write %40 for the one in the password"
        )
    if not _has_host(address):
        raise UserError(f"tracker {mask_passwords(address)}: it names no host; {ADDRESS_EXAMPLES}")
    return address


def get_address_scheme(uri: str) -> str:
    """Return an address's scheme, such as "sqlite", without a driver's name; "" for a bare path."""
    scheme, colon, _ = uri.partition(":")
    return scheme.partition("+")[0].lower() if colon else ""


def add_database_driver(uri: str) -> str:
    """Return an address that names the database driver for SQLAlchemy.

    From a SQLite address without one, MLflow creates the folder itself, and leaves a %3F in its name as it is.
    """
    scheme, colon, rest = uri.partition(":")
    return f"{DATABASE_DRIVERS.get(scheme, scheme)}{colon}{rest}"


def mask_passwords(text: str) -> str:
    """Return a text with *** for the password of every address in it."""
    return SECRET_PARAMETER_PATTERN.sub(r"\1***", PASSWORD_PATTERN.sub(r"\1:***@", text))


def remove_password(text: str, uri: str) -> str:
    """Return a text with *** for the password of `uri`, wherever it stands, percent-encoded or not."""
    for password in _find_passwords(uri):
        text = text.replace(password, "***")
    return mask_passwords(text)


def _find_passwords(uri: str) -> set[str]:
    """Return every password in an address, as it is written and decoded."""
    encoded_passwords = {secret for _, secret in SECRET_PARAMETER_PATTERN.findall(uri)}
    with suppress(ValueError):
        encoded_passwords.add(urlsplit(uri).password or "")
    encoded_passwords.discard("")
    return encoded_passwords | {unquote(password) for password in encoded_passwords}


def _has_host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
