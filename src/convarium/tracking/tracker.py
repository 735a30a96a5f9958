"""A tracker that runs are written to, by MLflow's client. The only module that imports MLflow."""

import json
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from convarium.tracking import artifacts, folders, known, page
from convarium.tracking.address import driven
from convarium.tracking.known import STATE, Index
from convarium.tracking.view import Content

if TYPE_CHECKING:
    from mlflow.client import MlflowClient

TOGETHER, PARAMS = 1000, 100  # at most, in one call
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Tracker:
    """One experiment of a tracker; it is created where it is missing. Only one process at a time may write to it."""

    def __init__(self, uri: str, experiment: str, files: str | None) -> None:
        """Open an experiment; `files` is the address of a new one's files, where no server decides."""
        self._name = experiment
        self._client = _client(uri)
        self.experiment = self._experiment(experiment, files)

    def index(self) -> Index:
        """Return the runs that a server has; of what two hosts wrote at once, the first is kept."""
        found = known.at_server(self._client, self._name)
        for run in found.doubles:
            self._client.delete_run(run)
        return found

    def begin(self, tags: Mapping[str, str], name: str, started: int) -> str:
        """Create a run that is not whole yet; return its id."""
        run = self._client.create_run(self.experiment, start_time=started, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def tell(self, run: str, content: Content, state: str, is_new: bool) -> None:
        """Write all of a run but its files, its state last; what is there already is not written twice."""
        from mlflow.entities import Metric, Param, RunTag

        self._client.log_inputs(run, datasets=[_dataset(content.dataset)])
        self._client.set_terminated(run, "FINISHED", end_time=content.ended)
        there = {} if is_new else self._client.get_run(run).data.params
        params = [Param(key, value) for key, value in content.params.items() if key not in there]
        tags = [RunTag(key, value) for key, value in (*({} if is_new else content.tags).items(), (STATE, state))]
        figures = [Metric(one.key, one.value, one.time, one.step) for one in content.epochs + content.figures]
        while len(params) > PARAMS or len(params) + len(figures) + len(tags) > TOGETHER:
            room = TOGETHER - min(len(params), PARAMS)
            self._client.log_batch(run, metrics=figures[:room], params=params[:PARAMS])
            figures, params = figures[room:], params[PARAMS:]
        self._client.log_batch(run, metrics=figures, params=params, tags=tags)

    def finish(self, run: str, state: str, ended: int) -> None:
        """Say that a run without figures is whole."""
        self._client.set_terminated(run, "FINISHED", end_time=ended)
        self.tag(run, STATE, state)

    def place(self, run: str, links: Mapping[str, Path], texts: Mapping[str, str]) -> None:
        """Give a run its files: by link where it keeps them in a folder, as MLflow's client would, else sent."""
        if (here := folders.path(self._client.get_run(run).info.artifact_uri)) is not None:
            artifacts.place(here, links, texts)
            return
        with TemporaryDirectory() as folder:
            artifacts.place(Path(folder), links, texts)
            self._client.log_artifacts(run, folder)

    def names(self, run: str) -> set[str]:
        """Return the names of a run's files and folders that a server has."""
        return {str(file.path) for file in self._client.list_artifacts(run)}

    def tag(self, run: str, key: str, value: str) -> None:
        """Set one tag."""
        self._client.set_tag(run, key, value)

    def rename(self, run: str, name: str) -> None:
        """Give a run another name."""
        self._client.update_run(run, name=name)

    def _experiment(self, name: str, place: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(self._client.create_experiment(name, artifact_location=place, tags=dict(page.tags())))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        for key, value in page.tags().items():
            if key not in found.tags:
                self._client.set_experiment_tag(found.experiment_id, key, value)
        return str(found.experiment_id)


def _client(uri: str) -> "MlflowClient":
    """Return a client that prints nothing, sends nothing home and gives up in time."""
    os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.client import MlflowClient
    for name in ("mlflow", "mlflow.store.db.utils", "alembic", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=driven(uri))


def _dataset(data: Mapping[str, Any]) -> Any:
    """Return a dataset in MLflow's words: known by its content, no path."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, digest = str(data["name"]), str(data.get("fingerprint") or "unknown")[:36]
    profile = {key: data[key] for key in ("images", "classes", "channels", "img_size", "train_size") if key in data}
    source = json.dumps({"dataset": name})
    dataset = Dataset(name, digest, "convarium", source, profile=json.dumps(profile))
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "train, validation, test")])
