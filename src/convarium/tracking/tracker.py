"""Write runs to a tracker with MLflow's client."""

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
from convarium.tracking.tracker_connection import is_server_address, open_database

if TYPE_CHECKING:
    from mlflow.client import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

MAX_BATCH_ITEMS, MAX_BATCH_PARAMS = 1000, 100  # MLflow refuses more in one call of `log_batch`
MAX_DIGEST_CHARS = 36  # MLflow's limit
UPDATE_START_QUERY = "UPDATE runs SET start_time = ? WHERE run_uuid = ?"
DATASET_PROFILE_KEYS = ("images", "classes", "channels", "img_size", "train_size")
QUIET_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Tracker:
    """An experiment of a tracker, created where it is missing. Only one process at a time may write to it."""

    def __init__(self, uri: str, experiment: str, artifact_address: str | None) -> None:
        """Open an experiment; `artifact_address` is where the files of a new one go, None if a server decides."""
        self._uri = uri
        self._experiment_name = experiment
        self._client = _create_client(uri)
        self.experiment_id = self._open_experiment(experiment, artifact_address)

    def read_index(self) -> RunIndex:
        """Return the runs that a server has, and delete the duplicates that two hosts wrote at once."""
        index = tracked_runs.read_runs_from_server(self._client, self._experiment_name)
        for run_id in index.duplicate_run_ids:
            self._client.delete_run(run_id)
        return index

    def create_run(self, tags: Mapping[str, str], name: str, started_ms: int | None) -> str:
        """Create a run that has its tags only; return its id. It starts at `started_ms`, None for now."""
        run = self._client.create_run(self.experiment_id, start_time=started_ms, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def write_run(self, run_id: str, content: RunContent, state: str, is_new: bool) -> None:
        """Write all of a run but its files, its state last.

        A run that `is_new` has its tags already. An older one gets new tags and metrics, and the parameters that it
        lacks.
        """
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_inputs(run_id, datasets=[_build_dataset_input(content.dataset_config)])
        self._client.set_terminated(run_id, "FINISHED", end_time=content.ended_ms)
        # MLflow refuses a second value of a parameter.
        logged_params = {} if is_new else self._client.get_run(run_id).data.params
        params = [Param(key, value) for key, value in content.params.items() if key not in logged_params]
        metrics = [
            Metric(metric.key, metric.value, metric.time_ms, metric.step)
            for metric in (*content.epoch_metrics, *content.final_metrics)
        ]
        tags = [] if is_new else [RunTag(key, value) for key, value in content.tags.items()]
        tags.append(RunTag(STATE_TAG, state))
        self._log_in_batches(run_id, params, metrics, tags)

    def finish_run(self, run_id: str, tags: Mapping[str, str], state: str, time_span: tuple[int, int] | None) -> None:
        """Write tags of a run that has no parameters or metrics, and mark it as complete.

        Args:
            tags: those to write.
            state: what the run's state becomes.
            time_span: its start and end in ms since 1970; None for now as its end.
        """
        started_ms, ended_ms = time_span or (None, None)
        self._client.set_terminated(run_id, "FINISHED", end_time=ended_ms)
        if started_ms is not None and not is_server_address(self._uri):
            # By SQL, because MLflow's client can't change the start: a server keeps that of the run's creation.
            open_database(self._uri).execute_many(UPDATE_START_QUERY, [(started_ms, run_id)])
        for key, value in tags.items():
            self.set_tag(run_id, key, value)
        self.set_tag(run_id, STATE_TAG, state)

    def read_tags(self, run_id: str) -> Mapping[str, str]:
        """Return the tags of a run."""
        tags: Mapping[str, str] = self._client.get_run(run_id).data.tags
        return tags

    def place_files(self, run_id: str, links: Mapping[str, Path], texts: Mapping[str, str]) -> None:
        """Give a run its files: as links where its files are in a local folder, else by upload."""
        address = self._client.get_run(run_id).info.artifact_uri
        folder = artifact_folders.find_local_folder(address)
        if folder is not None:
            artifacts.place_files(folder, links, texts)
            return
        with TemporaryDirectory() as upload_folder:
            artifacts.place_files(Path(upload_folder), links, texts)
            self._client.log_artifacts(run_id, upload_folder)

    def list_files(self, run_id: str) -> set[str]:
        """Return the names of a run's files and folders that a server has."""
        return {str(file.path) for file in self._client.list_artifacts(run_id)}

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        """Set one tag."""
        self._client.set_tag(run_id, key, value)

    def rename_run(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self._client.update_run(run_id, name=name)

    def _log_in_batches(
        self, run_id: str, params: "list[Param]", metrics: "list[Metric]", tags: "list[RunTag]"
    ) -> None:
        while len(params) > MAX_BATCH_PARAMS or len(params) + len(metrics) + len(tags) > MAX_BATCH_ITEMS:
            batch_params, params = params[:MAX_BATCH_PARAMS], params[MAX_BATCH_PARAMS:]
            metric_count = MAX_BATCH_ITEMS - len(batch_params)
            batch_metrics, metrics = metrics[:metric_count], metrics[metric_count:]
            self._client.log_batch(run_id, metrics=batch_metrics, params=batch_params)
        # The state goes last: without it a run counts as incomplete, and the next sync writes it again.
        self._client.log_batch(run_id, metrics=metrics, params=params, tags=tags)

    def _open_experiment(self, name: str, artifact_address: str | None) -> str:
        """Return the id of an experiment, created or restored where that is needed."""
        tags = mlflow_charts.build_experiment_tags()
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            return str(self._client.create_experiment(name, artifact_location=artifact_address, tags=dict(tags)))
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        for key, value in tags.items():
            current_value = experiment.tags.get(key)
            is_outdated = current_value is not None and mlflow_charts.is_unedited_view(current_value)
            if current_value is None or (is_outdated and current_value != value):
                self._client.set_experiment_tag(experiment.experiment_id, key, value)
        return str(experiment.experiment_id)


def _create_client(uri: str) -> "MlflowClient":
    """Return a client that prints nothing, sends no telemetry and does not retry for minutes."""
    os.environ.update({key: os.environ.get(key, value) for key, value in QUIET_ENVIRONMENT.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.client import MlflowClient
    for name in ("mlflow", "mlflow.store.db.utils", "alembic", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=add_database_driver(uri))


def _build_dataset_input(dataset_config: Mapping[str, Any]) -> Any:
    """Return MLflow's entity of a dataset, identified by its name and content: a path would be another on each host."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name = str(dataset_config["name"])
    digest = str(dataset_config.get("fingerprint") or "unknown")[:MAX_DIGEST_CHARS]
    profile = {key: dataset_config[key] for key in DATASET_PROFILE_KEYS if key in dataset_config}
    source = json.dumps({"dataset": name})
    dataset = Dataset(name, digest, source_type="convarium", source=source, profile=json.dumps(profile))
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "train, validation, test")])
