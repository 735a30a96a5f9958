"""A sweep as if it had run, trackers that have it, and a browser to look at one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convarium.store.store import Store
from convarium.tracking.tracker_sync import TrackerSync
from tracking import fake_store
from tracking.postgres import PostgresCluster, PostgresUnavailable

os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two dense networks and four pipelines, never written to again."""
    root = tmp_path_factory.mktemp("tracking") / "store"
    fake_store.store_fake_sweep(root)
    return root


@pytest.fixture(scope="session")
def synced(stored: Path) -> TrackerSync:
    """That store in a SQLite file beside it, synced once, never written to again."""
    sync = TrackerSync(Store(stored), f"sqlite:///{stored.parent / 'mlflow.db'}", "convarium")
    sync.run()
    return sync


@pytest.fixture(scope="session")
def told(synced: TrackerSync) -> dict[str, Any]:
    """Its runs as MLflow reads them, by name."""
    from mlflow.client import MlflowClient

    runs = MlflowClient(synced.uri).search_runs([synced.tracker.experiment_id], max_results=100)
    return {run.info.run_name: run for run in runs}


@pytest.fixture
def empty(synced: TrackerSync, tmp_path: Path) -> str:
    """The address of a SQLite tracker without runs, made from one that took seconds to make."""
    import sqlite3

    file = tmp_path / "mlflow.db"
    shutil.copyfile(str(synced.uri).removeprefix("sqlite:///"), file)
    with sqlite3.connect(file) as opened:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs", "experiment_tags", "experiments"):
            opened.execute(f"DELETE FROM {table}")
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    """A private PostgreSQL."""
    try:
        cluster = PostgresCluster()
    except PostgresUnavailable as reason:
        (pytest.fail if os.environ.get("POSTGRESQL") == "required" else pytest.skip)(str(reason))
    yield cluster
    cluster.stop()
