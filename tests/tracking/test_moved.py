"""A view follows its store: files of runs lie beside the database, wherever that was moved or copied to."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from convarium.store.store import Store
from convarium.tracking import sqlite_address, tracker_address
from convarium.tracking.tracked_runs import read_runs_from_database
from convarium.tracking.tracker_sync import TrackerSync
from tracking import fake_store
from tracking.postgres import PostgresCluster

pytestmark = pytest.mark.xdist_group("mlflow")

POINTS = ("compression=none", "seed=0,1")
ODD_NAMES = ["/abs/olute", "..", ".", "a/b", "../../x", "what?now #1", "p%41", "x" * 240, "ü\n"]
CLEANED = ["../mlartifacts", "*/*", "*/*/*/network.cvm", "*/*/*/*.svg", "*/*/*/logs", "*/*/*/*.html"]
ODD = ["what?now", "p%41", "a#b", "two words", "größe", "a;b&c=d", "it's", '"quoted"', "a@b:c", "[x]{y}", "%", "-"]


def view(home: Path, empty: str) -> TrackerSync:
    """A store in `home`, with a database beside it."""
    fake_store.store_fake_sweep(home.parent / "made", POINTS)
    home.mkdir(exist_ok=True)
    (home.parent / "made").rename(home / "store")
    sqlite_address.get_sqlite_file(empty).replace(home / "mlflow.db")
    return at(home)


def at(home: Path, experiment: str = "convarium") -> TrackerSync:
    return TrackerSync(Store(home / "store"), tracker_address.resolve_tracker_address(None, home / "store"), experiment)


def counts(home: Path) -> tuple[int, int, int]:
    found = at(home).run()
    return found.added, found.mended, found.same


def folders(sync: TrackerSync) -> list[Path]:
    """Where MLflow looks for the files of all runs."""
    from mlflow.client import MlflowClient

    tracker = MlflowClient(tracker_address.add_database_driver(sync.uri))
    experiment = tracker.get_experiment_by_name(sync.experiment)
    runs = tracker.search_runs([experiment.experiment_id], max_results=100)
    assert all(tracker.list_artifacts(run.info.run_id) for run in runs)
    return [Path(url2pathname(urlsplit(run.info.artifact_uri).path)) for run in runs]


def files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ODD)
def test_a_folder_may_have_any_name(tmp_path: Path, empty: str, name: str) -> None:
    home = tmp_path / name
    sync = view(home, empty)
    assert sync.run().added == 2
    assert counts(home) == (0, 0, 2)
    assert all(home / "mlartifacts" in folder.parents for folder in folders(sync))
    assert {path.name for path in tmp_path.iterdir()} == {name}, "no folder that only an address names"


def test_a_database_is_made_in_a_folder_of_any_name(tmp_path: Path) -> None:
    fake_store.store_fake_sweep(tmp_path / "plain" / "store", POINTS)
    home = (tmp_path / "plain").rename(tmp_path / "what?now p%41#ü;")
    assert at(home).run().added == 2
    assert (home / "mlflow.db").is_file()
    assert counts(home) == (0, 0, 2)
    assert [path.name for path in tmp_path.iterdir()] == [home.name]


def test_what_was_moved_is_mended_and_the_old_place_is_not_made_again(tmp_path: Path, empty: str) -> None:
    view(tmp_path / "old", empty).run()
    (tmp_path / "old").rename(tmp_path / "new")
    fake_store.store_fake_sweep(tmp_path / "new" / "store", (*POINTS, "recipe.epochs=3"))
    assert counts(tmp_path / "new") == (2, 2, 0)
    assert counts(tmp_path / "new") == (0, 0, 4)
    assert not (tmp_path / "old").exists()
    assert all(tmp_path / "new" in folder.parents and any(folder.iterdir()) for folder in folders(at(tmp_path / "new")))


def test_what_was_copied_is_a_view_of_its_own(tmp_path: Path, empty: str) -> None:
    view(tmp_path / "old", empty).run()
    before = files(tmp_path / "old")
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    fake_store.store_fake_sweep(tmp_path / "new" / "store", (*POINTS, "recipe.epochs=3"))
    assert counts(tmp_path / "new") == (2, 2, 0)
    assert files(tmp_path / "old") == before
    assert all(tmp_path / "new" in folder.parents for folder in folders(at(tmp_path / "new")))
    assert counts(tmp_path / "old") == (0, 0, 2)
    shutil.rmtree(tmp_path / "old")
    assert counts(tmp_path / "new") == (0, 0, 4)


def test_only_the_store_and_the_database_were_copied(tmp_path: Path, empty: str) -> None:
    view(tmp_path / "old", empty).run()
    shutil.copytree(tmp_path / "old", tmp_path / "new", ignore=shutil.ignore_patterns("mlartifacts"))
    assert counts(tmp_path / "new") == (0, 2, 0)
    assert files(tmp_path / "new") > {name for name in files(tmp_path / "old") if name.endswith("network.cvm")}


@pytest.mark.parametrize("cleaned", CLEANED)
def test_what_was_cleaned_is_written_again(tmp_path: Path, empty: str, cleaned: str) -> None:
    sync = view(tmp_path, empty)
    sync.run()
    before = files(tmp_path)
    for path in [*(tmp_path / "mlartifacts").glob(cleaned)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert files(tmp_path) < before
    TrackerSync(sync.store, sync.uri, "convarium").run()
    assert files(tmp_path) == before
    assert counts(tmp_path) == (0, 0, 2)


def test_a_network_that_the_store_has_no_more_is_not_missed_for_ever(tmp_path: Path, empty: str) -> None:
    view(tmp_path, empty).run()
    for path in [*tmp_path.glob("store/train/*/network.cvm"), *tmp_path.glob("mlartifacts/*/*/*/network.cvm")]:
        path.unlink()
    assert counts(tmp_path) == (0, 2, 0)
    assert counts(tmp_path) == (0, 0, 2)


@pytest.mark.parametrize("experiment", ODD_NAMES)
def test_an_experiment_of_any_name_keeps_its_files_in_its_folder(tmp_path: Path, empty: str, experiment: str) -> None:
    home = tmp_path / "home"
    view(home, empty)
    before = {path.name for path in home.iterdir()}
    assert at(home, experiment).run().added == 2
    assert at(home, experiment).run().same == 2
    assert {path.name for path in home.iterdir()} - before == {"mlartifacts", "mlflow.lock"}
    (own,) = (home / "mlartifacts").iterdir()
    assert all(own in folder.parents for folder in folders(at(home, experiment)))
    assert not Path("/abs").exists()


def test_two_stores_that_share_a_database_do_not_move_each_others_files(tmp_path: Path, empty: str) -> None:
    for name in ("one", "two"):
        fake_store.store_fake_sweep(tmp_path / name / "store", POINTS)
        TrackerSync(Store(tmp_path / name / "store"), empty, "convarium").run()
    for name in ("one", "two"):
        assert TrackerSync(Store(tmp_path / name / "store"), empty, "convarium").run().same == 2
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "mlflow.db", "mlflow.lock", "mlartifacts"}


def test_a_place_that_the_user_chose_is_left_to_him(tmp_path: Path, empty: str) -> None:
    from mlflow.client import MlflowClient

    sync = view(tmp_path, empty)
    MlflowClient(sync.uri).create_experiment("convarium", artifact_location=(tmp_path / "mine #1").as_uri())
    sync.run()
    assert all(tmp_path / "mine #1" in folder.parents for folder in folders(sync))
    shutil.rmtree(tmp_path / "mine #1")
    assert counts(tmp_path) == (0, 2, 0)
    assert not (tmp_path / "mlartifacts").exists()


def test_a_copy_by_hard_links_leaves_the_first_ones_record_as_it_was(tmp_path: Path, empty: str) -> None:
    view(tmp_path / "old", empty).run()
    shutil.copytree(tmp_path / "old" / "mlartifacts", tmp_path / "kept", copy_function=os.link)
    record = next((tmp_path / "kept").rglob("result.json"))
    before = record.read_text()
    next((tmp_path / "old" / "mlartifacts").rglob("curves.svg")).unlink()
    for done in (tmp_path / "old" / "store").glob("measure/*/done.json"):
        done.write_text(done.read_text().replace("2026-01", "2026-02"))
    assert counts(tmp_path / "old") == (0, 2, 0)
    assert record.read_text() == before


def test_in_postgresql_files_lie_beside_the_store_that_has_them(tmp_path: Path, cluster: PostgresCluster) -> None:
    uri = cluster.create_database()
    fake_store.store_fake_sweep(tmp_path / "old" / "store", POINTS)
    old, new = tmp_path / "old" / "store", tmp_path / "new" / "store"
    assert TrackerSync(Store(old), uri, "convarium").run().added == 2
    (tmp_path / "old").rename(tmp_path / "new")
    fake_store.store_fake_sweep(new, (*POINTS, "recipe.epochs=3"))
    found = TrackerSync(Store(new), uri, "convarium").run()
    assert (found.added, found.mended) == (2, 2)
    assert not (tmp_path / "old").exists()
    assert all(tmp_path / "new" in folder.parents for folder in folders(TrackerSync(Store(new), uri, "convarium")))
    shutil.copytree(new, old)
    assert TrackerSync(Store(old), uri, "convarium").run().same == 4, "they are there, beside the other store"
    fake_store.store_fake_sweep(old, (*POINTS, "recipe.epochs=4"))
    assert TrackerSync(Store(old), uri, "convarium").run().added == 2
    assert len([*(tmp_path / "old" / "mlartifacts").rglob("network.cvm")]) == 2


def test_the_page_shows_files_of_a_folder_of_any_name(tmp_path: Path, empty: str) -> None:
    import socket
    from urllib.request import urlopen

    from convarium.tracking.mlflow_server import MlflowServer

    home = tmp_path / "what?now p%41#ü;"
    sync = view(home, empty)
    sync.run()
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
    server = MlflowServer(sync.uri, "127.0.0.1", port, sync.artifacts_root, home / "log")
    try:
        server.wait_until_ready()
        run = next(iter(read_runs_from_database(sync.uri, "convarium").networks.values())).run_id
        with urlopen(f"{server.url}/get-artifact?path=result.json&run_uuid={run}") as answer:
            assert b'"signature"' in answer.read()
        through = TrackerSync(sync.store, server.url, "convarium")
        assert through.run().same == 2
        for path in home.rglob("mlartifacts/*/*/*/network.cvm"):
            path.unlink()
        assert through.run().mended == 2
        assert through.run().same == 2
    finally:
        server.stop()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [home.name]
