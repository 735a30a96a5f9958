"""Check the schema of a tracker's database before MLflow opens it."""

import re
from collections.abc import Mapping
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
    """Return if a database is new, or has the schema that the installed MLflow reads.

    Raises:
        TrackerUnreachable: it has another schema, or is a file with tables of another program.
    """
    tracker = f"tracker {mask_passwords(uri)}"
    database = open_database(uri)
    version_rows = database.fetch_rows(SCHEMA_VERSION_QUERY)
    if not version_rows:
        if isinstance(database, SqliteDatabase):
            _check_foreign_tables(tracker, database)
        return
    schema = version_rows[0][0]
    parents = _read_schema_parents()
    installed_schema = _find_newest_schema(parents)
    if schema == installed_schema:
        return
    installed = f"MLflow {version('mlflow')} reads {installed_schema}"
    if schema in parents:
        raise TrackerUnreachable(
            f"{tracker}: its schema {schema} is an older MLflow's, {installed};"
            f" make a backup, then: mlflow db upgrade {mask_passwords(uri)}"
        )
    raise TrackerUnreachable(
        f"{tracker}: its schema {schema} is unknown here, a newer MLflow made it, {installed};"
        " upgrade mlflow, or name another tracker"
    )


def _check_foreign_tables(tracker: str, database: SqliteDatabase) -> None:
    """Return if a file without a schema's version has no tables that MLflow would not make."""
    tables = [name for (name,) in database.fetch_rows(FOREIGN_TABLES_QUERY)]
    if tables:
        raise TrackerUnreachable(
            f"{tracker}: {database.path} is not an MLflow database: it holds other tables"
            f" ({', '.join(tables[:MAX_TABLES_NAMED])}); name another file"
        )


def _find_newest_schema(parents: Mapping[str, str | None]) -> str:
    """Return the only schema that is no other's parent."""
    (newest,) = parents.keys() - set(parents.values())
    return newest


def _read_schema_parents() -> dict[str, str | None]:
    """Return each schema that the installed MLflow knows with the one before it, None for the first."""
    spec = find_spec("mlflow")
    assert spec is not None, "MLflow is one of our requirements"
    parents: dict[str, str | None] = {}
    # The migration scripts are read as text, because importing them takes seconds.
    for script in (Path(str(spec.origin)).parent / "store" / "db_migrations" / "versions").glob("*.py"):
        revisions = dict(REVISION_PATTERN.findall(script.read_text(encoding="utf-8")))
        if "revision" in revisions:
            parents[revisions["revision"]] = revisions.get("down_revision")
    return parents
