"""Which runs a tracker has: read from a database by SQL, since importing MLflow takes seconds, or from a server."""

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
RunKey = tuple[str, str, bool]  # a run's id, the address of its files, whether it is deleted


@dataclass(frozen=True)
class TrackedRun:
    """A run that the tracker has.

    Attributes:
        artifact_address: the address of its files.
        state: of its network or group when it was written; None until it is complete.
    """

    run_id: str
    artifact_address: str
    name: str
    state: str | None
    parent_id: str | None
    is_deleted: bool = False


@dataclass(frozen=True)
class RunIndex:
    """The runs of an experiment.

    Attributes:
        networks: the runs of networks by signature.
        groups: the parent runs by the key of their group.
        duplicate_run_ids: further runs of a network or a group that has one.
        artifact_address: the address of the experiment's files in a database; None where it has no such experiment.
    """

    networks: dict[str, TrackedRun]
    groups: dict[str, TrackedRun]
    duplicate_run_ids: tuple[str, ...] = ()
    artifact_address: str | None = None


def read_runs_from_database(uri: str, experiment: str) -> RunIndex:
    """Return the runs that a database has."""
    database = open_database(uri)
    tags_by_run: dict[RunKey, dict[str, str]] = {}
    for run_id, address, lifecycle_stage, key, value in database.fetch_rows(RUNS_QUERY, (experiment,)):
        run_key = (run_id, address, lifecycle_stage == "deleted")
        tags_by_run.setdefault(run_key, {})[key] = value
    locations = database.fetch_rows(LOCATION_QUERY, (experiment,))
    return _build_index(tags_by_run, locations[0][0] if locations else None)


def read_runs_from_server(client: "MlflowClient", experiment: str) -> RunIndex:
    """Return the runs that a server has."""
    return _build_index(dict(_iterate_server_runs(client, experiment)))


def _iterate_server_runs(client: "MlflowClient", experiment: str) -> Iterator[tuple[RunKey, Mapping[str, str]]]:
    from mlflow.entities import ViewType

    experiment_info = client.get_experiment_by_name(experiment)
    if experiment_info is None:
        return
    page_token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_info.experiment_id],
            run_view_type=ViewType.ALL,
            max_results=RUNS_PER_PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=page_token,
        )
        for run in page:
            run_key = (run.info.run_id, run.info.artifact_uri, run.info.lifecycle_stage == "deleted")
            yield run_key, run.data.tags
        page_token = page.token
        if not page_token:
            return


def _build_index(tags_by_run: Mapping[RunKey, Mapping[str, str]], experiment_address: str | None = None) -> RunIndex:
    """Return the index of runs, oldest first: of several of one network, the oldest that is not deleted counts."""
    networks: dict[str, TrackedRun] = {}
    groups: dict[str, TrackedRun] = {}
    duplicate_run_ids: list[str] = []
    for (run_id, address, is_deleted), tags in tags_by_run.items():
        name = tags.get(NAME_TAG, "")
        run = TrackedRun(run_id, address, name, tags.get(STATE_TAG), tags.get(PARENT_TAG), is_deleted)
        for tag_key, runs in ((SIGNATURE_TAG, networks), (GROUP_TAG, groups)):
            if tag_key not in tags:
                continue
            indexed_run = runs.setdefault(tags[tag_key], run)
            if indexed_run.is_deleted and not is_deleted:
                runs[tags[tag_key]] = run
            elif indexed_run is not run and not is_deleted:
                duplicate_run_ids.append(run_id)
    return RunIndex(networks, groups, tuple(duplicate_run_ids), experiment_address)
