"""Which runs a tracker has: read off a database in milliseconds, asked of a server by MLflow's client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convarium.tracking.reach import database

if TYPE_CHECKING:
    from mlflow.client import MlflowClient

SIGNATURE, GROUP, STATE = "convarium.signature", "convarium.group", "convarium.state"
PARENT, NAME = "mlflow.parentRunId", "mlflow.runName"
PAGE = 1000
QUERY = f"""
SELECT runs.run_uuid, runs.artifact_uri, runs.lifecycle_stage, tags.key, tags.value
FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid JOIN experiments ON experiments.experiment_id = runs.experiment_id
WHERE experiments.name = ? AND tags.key IN ('{SIGNATURE}', '{GROUP}', '{STATE}', '{PARENT}', '{NAME}')
ORDER BY runs.start_time, runs.run_uuid
"""
LOCATION = "SELECT artifact_location FROM experiments WHERE name = ?"
Run = tuple[str, str, bool]  # its id, the address of its files, whether it is deleted


@dataclass(frozen=True)
class Known:
    """A run that the tracker has: `state` is None until it is whole, `files` the address of its files."""

    run: str
    files: str
    name: str
    state: str | None
    parent: str | None
    is_deleted: bool = False


@dataclass(frozen=True)
class Index:
    """The runs of an experiment: networks by signature, parents by the key of their group, and what is there twice.

    `files` is the address of the experiment's files in a database; None where there is no such experiment yet.
    """

    networks: dict[str, Known]
    groups: dict[str, Known]
    doubles: tuple[str, ...] = ()
    files: str | None = None


def in_database(uri: str, experiment: str) -> Index:
    """Return the runs that a database has."""
    tags: dict[Run, dict[str, str]] = {}
    opened = database(uri)
    for run, files, stage, key, value in opened.rows(QUERY, (experiment,)):
        tags.setdefault((run, files, stage == "deleted"), {})[key] = value
    located = opened.rows(LOCATION, (experiment,))
    return _index(tags, located[0][0] if located else None)


def at_server(client: "MlflowClient", experiment: str) -> Index:
    """Return the runs that a server tells of."""
    return _index(dict(_told(client, experiment)))


def _told(client: "MlflowClient", experiment: str) -> Iterator[tuple[Run, Mapping[str, str]]]:
    from mlflow.entities import ViewType

    found = client.get_experiment_by_name(experiment)
    token: str | None = None
    while found is not None:
        page = client.search_runs([found.experiment_id], "", ViewType.ALL, PAGE, ["attributes.start_time ASC"], token)
        for run in page:
            yield (run.info.run_id, run.info.artifact_uri, run.info.lifecycle_stage == "deleted"), run.data.tags
        token = page.token
        if not token:
            return


def _index(tags: Mapping[Run, Mapping[str, str]], location: str | None = None) -> Index:
    found: dict[str, dict[str, Known]] = {SIGNATURE: {}, GROUP: {}}
    doubles = []
    for (run, files, deleted), tag in tags.items():
        known = Known(run, files, tag.get(NAME, ""), tag.get(STATE), tag.get(PARENT), deleted)
        for key, runs in found.items():
            if key in tag:
                other = runs.setdefault(tag[key], known)
                if other.is_deleted and not deleted:
                    runs[tag[key]] = known
                elif other is not known and not deleted:
                    doubles.append(run)
    return Index(found[SIGNATURE], found[GROUP], tuple(doubles), location)
