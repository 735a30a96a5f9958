"""Which runs a tracker has: read off a database in milliseconds, asked of a server by MLflow's client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convarium.tracking.tracker_connection import open_database

if TYPE_CHECKING:
    from mlflow.client import MlflowClient

SIGNATURE_TAG, GROUP_TAG, STATE_TAG = "convarium.signature", "convarium.group", "convarium.state"
PARENT_TAG, NAME_TAG = "mlflow.parentRunId", "mlflow.runName"
RUNS_PER_PAGE = 1000
RUNS_QUERY = f"""
SELECT runs.run_uuid, runs.artifact_uri, runs.lifecycle_stage, tags.key, tags.value
FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid JOIN experiments ON experiments.experiment_id = runs.experiment_id
WHERE experiments.name = ?
AND tags.key IN ('{SIGNATURE_TAG}', '{GROUP_TAG}', '{STATE_TAG}', '{PARENT_TAG}', '{NAME_TAG}')
ORDER BY runs.start_time, runs.run_uuid
"""
LOCATION_QUERY = "SELECT artifact_location FROM experiments WHERE name = ?"
RunKey = tuple[str, str, bool]  # its id, the address of its files, whether it is deleted


@dataclass(frozen=True)
class TrackedRun:
    """A run that the tracker has: `state` is None until it is whole, `artifact_address` the address of its files."""

    run_id: str
    artifact_address: str
    name: str
    state: str | None
    parent_id: str | None
    is_deleted: bool = False


@dataclass(frozen=True)
class RunIndex:
    """The runs of an experiment: networks by signature, parents by the key of their group, and what is there twice.

    `artifact_address` is the address of the experiment's files in a database; None where there is no such experiment
    yet.
    """

    networks: dict[str, TrackedRun]
    groups: dict[str, TrackedRun]
    duplicate_run_ids: tuple[str, ...] = ()
    artifact_address: str | None = None


def read_runs_from_database(uri: str, experiment: str) -> RunIndex:
    """Return the runs that a database has."""
    tags: dict[RunKey, dict[str, str]] = {}
    opened = open_database(uri)
    for run, files, stage, key, value in opened.fetch_rows(RUNS_QUERY, (experiment,)):
        tags.setdefault((run, files, stage == "deleted"), {})[key] = value
    located = opened.fetch_rows(LOCATION_QUERY, (experiment,))
    return _build_index(tags, located[0][0] if located else None)


def read_runs_from_server(client: "MlflowClient", experiment: str) -> RunIndex:
    """Return the runs that a server tells of."""
    return _build_index(dict(_iterate_server_runs(client, experiment)))


def _iterate_server_runs(client: "MlflowClient", experiment: str) -> Iterator[tuple[RunKey, Mapping[str, str]]]:
    from mlflow.entities import ViewType

    found = client.get_experiment_by_name(experiment)
    token: str | None = None
    while found is not None:
        page = client.search_runs(
            [found.experiment_id], "", ViewType.ALL, RUNS_PER_PAGE, ["attributes.start_time ASC"], token
        )
        for run in page:
            yield (run.info.run_id, run.info.artifact_uri, run.info.lifecycle_stage == "deleted"), run.data.tags
        token = page.token
        if not token:
            return


def _build_index(tags: Mapping[RunKey, Mapping[str, str]], location: str | None = None) -> RunIndex:
    found: dict[str, dict[str, TrackedRun]] = {SIGNATURE_TAG: {}, GROUP_TAG: {}}
    doubles = []
    for (run, files, deleted), tag in tags.items():
        known = TrackedRun(run, files, tag.get(NAME_TAG, ""), tag.get(STATE_TAG), tag.get(PARENT_TAG), deleted)
        for key, runs in found.items():
            if key in tag:
                other = runs.setdefault(tag[key], known)
                if other.is_deleted and not deleted:
                    runs[tag[key]] = known
                elif other is not known and not deleted:
                    doubles.append(run)
    return RunIndex(found[SIGNATURE_TAG], found[GROUP_TAG], tuple(doubles), location)
