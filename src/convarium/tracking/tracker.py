"""A tracker that runs are written to, by MLflow's client. The only module that imports MLflow."""

import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from convarium.tracking import artifact_folders, artifacts, mlflow_charts, tracked_runs
from convarium.tracking.run_content import RunContent
from convarium.tracking.tracked_runs import STATE_TAG, RunIndex
from convarium.tracking.tracker_address import add_database_driver

if TYPE_CHECKING:
    from mlflow.client import MlflowClient

MAX_BATCH_ITEMS, MAX_BATCH_PARAMS = 1000, 100  # at most, in one call
QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Tracker:
    """One experiment of a tracker; it is created where it is missing. Only one process at a time may write to it."""

    def __init__(self, uri: str, experiment: str, artifact_address: str | None) -> None:
        """Open an experiment; `artifact_address` is the address of a new one's files, where no server decides."""
        self._experiment_name = experiment
        self._client = _create_client(uri)
        self.experiment_id = self._open_experiment(experiment, artifact_address)

    def read_index(self) -> RunIndex:
        """Return the runs that a server has; of what two hosts wrote at once, the first is kept."""
        found = tracked_runs.read_runs_from_server(self._client, self._experiment_name)
        for run in found.duplicate_run_ids:
            self._client.delete_run(run)
        return found

    def create_run(self, tags: Mapping[str, str], name: str, started_ms: int) -> str:
        """Create a run that is not whole yet; return its id."""
        run = self._client.create_run(self.experiment_id, start_time=started_ms, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def write_run(self, run_id: str, content: RunContent, state: str, is_new: bool) -> None:
        """Write all of a run but its files, its state last; what is there already is not written twice."""
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_inputs(run_id, datasets=[_build_dataset_input(content.dataset_config)])
        self._client.set_terminated(run_id, "FINISHED", end_time=content.ended_ms)
        there = {} if is_new else self._client.get_run(run_id).data.params
        params = [Param(key, value) for key, value in content.params.items() if key not in there]
        tags = [RunTag(key, value) for key, value in (*({} if is_new else content.tags).items(), (STATE_TAG, state))]
        figures = [
            Metric(one.key, one.value, one.time_ms, one.step) for one in content.epoch_metrics + content.final_metrics
        ]
        while len(params) > MAX_BATCH_PARAMS or len(params) + len(figures) + len(tags) > MAX_BATCH_ITEMS:
            room = MAX_BATCH_ITEMS - min(len(params), MAX_BATCH_PARAMS)
            self._client.log_batch(run_id, metrics=figures[:room], params=params[:MAX_BATCH_PARAMS])
            figures, params = figures[room:], params[MAX_BATCH_PARAMS:]
        self._client.log_batch(run_id, metrics=figures, params=params, tags=tags)

    def finish_run(self, run_id: str, state: str, ended_ms: int) -> None:
        """Say that a run without figures is whole."""
        self._client.set_terminated(run_id, "FINISHED", end_time=ended_ms)
        self.set_tag(run_id, STATE_TAG, state)

    def place_files(self, run_id: str, links: Mapping[str, Path], texts: Mapping[str, str]) -> None:
        """Give a run its files: by link where it keeps them in a folder, as MLflow's client would, else sent."""
        if (here := artifact_folders.find_local_folder(self._client.get_run(run_id).info.artifact_uri)) is not None:
            artifacts.place_files(here, links, texts)
            return
        with TemporaryDirectory() as folder:
            artifacts.place_files(Path(folder), links, texts)
            self._client.log_artifacts(run_id, folder)

    def list_files(self, run_id: str) -> set[str]:
        """Return the names of a run's files and folders that a server has."""
        return {str(file.path) for file in self._client.list_artifacts(run_id)}

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set one tag."""
        self._client.set_tag(run_id, key, value)

    def rename_run(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self._client.update_run(run_id, name=name)

    def _open_experiment(self, name: str, artifact_address: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(
                self._client.create_experiment(
                    name, artifact_location=artifact_address, tags=dict(mlflow_charts.build_experiment_tags())
                )
            )
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        for key, value in mlflow_charts.build_experiment_tags().items():
            if key not in found.tags:
                self._client.set_experiment_tag(found.experiment_id, key, value)
        return str(found.experiment_id)


def _create_client(uri: str) -> "MlflowClient":
    """Return a client that prints nothing, sends nothing home and gives up in time."""
    os.environ.update({key: os.environ.get(key, value) for key, value in QUIET_ENVIRONMENT.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.client import MlflowClient
    for name in ("mlflow", "mlflow.store.db.utils", "alembic", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=add_database_driver(uri))


def _build_dataset_input(dataset_config: Mapping[str, Any]) -> Any:
    """Return a dataset in MLflow's words: known by its content, no path."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, digest = str(dataset_config["name"]), str(dataset_config.get("fingerprint") or "unknown")[:36]
    profile = {
        key: dataset_config[key]
        for key in ("images", "classes", "channels", "img_size", "train_size")
        if key in dataset_config
    }
    source = json.dumps({"dataset": name})
    dataset = Dataset(name, digest, "convarium", source, profile=json.dumps(profile))
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "train, validation, test")])
