"""Many syncs at once on a tracker that nobody has used yet: nothing is lost, nothing is there twice."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from convarium.tracking.tracked_runs import GROUP_TAG, read_runs_from_database
from convarium.tracking.tracker_connection import open_database
from tracking import fake_store
from tracking.postgres import PostgresCluster

EACH = 4  # processes for each of two stores


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two stores that have nothing in common."""
    roots = [tmp_path_factory.mktemp("stores") / f"seed{seed}" / "store" for seed in (0, 1)]
    for seed, root in enumerate(roots):
        fake_store.store_fake_sweep(root, (*fake_store.SWEEP[:2], f"seed={seed}"))
    return roots


def all_at_once(stores: Sequence[Path], uri: str) -> None:
    command = [sys.executable, "-m", "convarium", "sync"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
    syncs = [
        subprocess.Popen([*command, f"runtime.store={store}"], env=environment, stderr=subprocess.PIPE, text=True)
        for store in stores
        for _ in range(EACH)
    ]
    ends = [(sync.communicate(timeout=300)[1], sync.returncode) for sync in syncs]
    assert ends == [("", 0)] * len(syncs)


def is_complete(uri: str) -> bool:
    found = read_runs_from_database(uri, "convarium")
    first_start_ms = int(1000 * fake_store.FIRST_START.timestamp())
    parents = "SELECT start_time FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid WHERE key = ?"
    return (
        open_database(uri).fetch_rows(parents, (GROUP_TAG,)) == [(first_start_ms,)] * 2
        and not found.duplicate_run_ids
        and len(found.networks) == 6
        and all(known.state for known in found.networks.values())
    )


def test_on_a_fresh_sqlite_file(stores: list[Path], tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    all_at_once(stores, uri)
    assert is_complete(uri)


def test_on_a_fresh_postgresql(stores: list[Path], cluster: PostgresCluster) -> None:
    uri = cluster.create_database()
    all_at_once(stores, uri)
    assert is_complete(uri)
