"""The version of a tracker's database, checked before MLflow opens it: it would migrate an older one unasked."""

import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from convarium.tracking.tracker_address import mask_passwords
from convarium.tracking.tracker_connection import SqliteDatabase, TrackerUnreachable, open_database

MAX_TABLES_NAMED = 3
SCHEMA_VERSION_QUERY = "SELECT version_num FROM alembic_version"
FOREIGN_TABLES_QUERY = """
SELECT held.name FROM sqlite_master AS held
WHERE held.type = 'table' AND held.name NOT IN ('alembic_version', 'sqlite_sequence') AND NOT EXISTS
(SELECT 1 FROM pragma_table_info(held.name) AS own WHERE own.name IN ('run_uuid', 'artifact_location'))
ORDER BY held.name
"""  # what MLflow creates before it writes a version has one of these columns
REVISION_PATTERN = re.compile(r"""^(revision|down_revision)\b[^=\n]*= *["'](\w+)["']""", re.MULTILINE)


def check_schema_version(uri: str) -> None:
    """Return if a database is new, or of the schema that the installed MLflow reads.

    Raises:
        NotReached: it is of another one, or a file of other tables.
    """
    opened = open_database(uri)
    found = opened.fetch_rows(SCHEMA_VERSION_QUERY)
    if not found and isinstance(opened, SqliteDatabase) and (foreign := opened.fetch_rows(FOREIGN_TABLES_QUERY)):
        names = ", ".join(name for (name,) in foreign[:MAX_TABLES_NAMED])
        raise TrackerUnreachable(
            f"tracker {mask_passwords(uri)}: {opened.path} is no MLflow database: it holds other tables ({names});"
            " name another file"
        )
    if not found or found[0][0] == read_installed_schema():
        return
    ours = f"MLflow {version('mlflow')} reads {read_installed_schema()}"
    if found[0][0] in _read_schema_parents():
        raise TrackerUnreachable(
            f"tracker {mask_passwords(uri)}: its schema {found[0][0]} is an older MLflow's, {ours};"
            f" make a backup, then: mlflow db upgrade {mask_passwords(uri)}"
        )
    raise TrackerUnreachable(
        f"tracker {mask_passwords(uri)}: its schema {found[0][0]} is unknown here, a newer MLflow made it, {ours};"
        " upgrade mlflow, or name another tracker"
    )


def read_installed_schema() -> str:
    """Return the schema that the installed MLflow reads."""
    known = _read_schema_parents()
    (newest,) = known.keys() - set(known.values())
    return newest


def _read_schema_parents() -> dict[str, str | None]:
    """Return, for each schema there was, the one before; read off the scripts, whose import takes seconds."""
    spec = find_spec("mlflow")
    assert spec is not None, "MLflow is one of our requirements"
    found: dict[str, str | None] = {}
    for script in (Path(str(spec.origin)).parent / "store" / "db_migrations" / "versions").glob("*.py"):
        named = dict(REVISION_PATTERN.findall(script.read_text(encoding="utf-8")))
        if "revision" in named:
            found[named["revision"]] = named.get("down_revision")
    return found
