"""A tracker says what the store says, however often and after whatever it is synced."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from convarium.cli import main
from convarium.planning.plan_file import list_plan_files, read_plan
from convarium.store.store import Store
from convarium.tracking.mlflow_charts import VIEW_TAG
from convarium.tracking.run_group import RunGroup
from convarium.tracking.tracked_runs import STATE_TAG, read_runs_from_database
from convarium.tracking.tracker import Tracker
from convarium.tracking.tracker_sync import TrackerSync
from tracking import fake_store

pytestmark = pytest.mark.xdist_group("mlflow")

FIRST_START_MS = int(1000 * fake_store.FIRST_START.timestamp())
NAME = "lenet5 mnist5k magnitude 0.9 → kmeans 5 s0"


def client(uri: str) -> Any:
    from mlflow.client import MlflowClient

    return MlflowClient(uri)


def runs(sync: TrackerSync) -> list[Any]:
    return list(client(sync.uri).search_runs([sync.tracker.experiment_id], max_results=100))


def test_there_is_a_run_for_each_network_and_a_parent_that_holds_them(told: dict[str, Any]) -> None:
    parent = told.pop("lenet5 mnist5k (6 points)")
    assert len(told) == 6
    assert {run.data.tags["mlflow.parentRunId"] for run in told.values()} == {parent.info.run_id}
    assert {run.info.status for run in told.values()} == {"FINISHED"}
    told["lenet5 mnist5k (6 points)"] = parent


def test_all_runs_have_accuracy_and_bytes_under_the_same_names(told: dict[str, Any]) -> None:
    pipelines = [run for run in told.values() if run.data.tags["convarium.kind"] != "sweep"]
    assert all({"accuracy", "file_bytes", "ratio", "seconds/all"} <= run.data.metrics.keys() for run in pipelines)


def test_a_run_has_its_params_curves_dataset_and_files(synced: TrackerSync, told: dict[str, Any]) -> None:
    run = told[NAME]
    assert run.data.params["compression.magnitude.sparsity"] == "0.9"
    history = client(synced.uri).get_metric_history(run.info.run_id, "epoch/loss")
    assert sorted(metric.step for metric in history) == list(range(1, 3 * fake_store.EPOCHS + 1))
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mnist5k", "1214fc7ae12c5e4d")
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    network = synced.store.find_folder(run.data.tags["convarium.signature"])
    assert network is not None
    assert (folder / "network.cvm").samefile(network / "network.cvm")
    assert {path.name for path in folder.iterdir()} == {"network.cvm", "result.json", "curves.svg", "bytes.svg", "logs"}


def test_a_parent_has_the_report_of_its_sweep(told: dict[str, Any]) -> None:
    folder = Path(told["lenet5 mnist5k (6 points)"].info.artifact_uri.removeprefix("file://"))
    assert "magnitude 0.9" in (folder / "report.html").read_text()
    assert len((folder / "table.csv").read_text().splitlines()) == 4


def test_a_parent_lasts_from_its_first_stage_to_the_end_of_its_last(stored: Path, told: dict[str, Any]) -> None:
    (plan_file,) = list_plan_files(stored)
    last_stage = len(read_plan(plan_file).nodes) - 1
    parent = told["lenet5 mnist5k (6 points)"].info
    assert parent.start_time == FIRST_START_MS
    assert parent.end_time - parent.start_time == 1000 * (
        fake_store.STAGE_PITCH_SECONDS * last_stage + fake_store.STAGE_SECONDS
    )


def test_a_parent_has_the_commands_of_its_points_and_describes_itself(told: dict[str, Any]) -> None:
    tags = told["lenet5 mnist5k (6 points)"].data.tags
    chain = "'compression=[pruning/magnitude,quantization/kmeans]' compression.magnitude.sparsity=0.8,0.9"
    commands = f"convarium run compression=none seed=0,1\nconvarium run {chain} seed=0,1"
    assert tags["mlflow.source.name"] == commands
    assert tags["mlflow.note.content"].startswith("**lenet5 mnist5k (6 points)**")
    assert commands in tags["mlflow.note.content"]


def test_a_parent_begins_with_its_first_stage_even_if_that_was_stored_later(tmp_path: Path, empty: str) -> None:
    root = tmp_path / "store"
    plan = fake_store.store_fake_sweep(root, ("compression=none", "seed=0,1"))
    shutil.copytree(root, tmp_path / "all")
    for folder in root.glob("*/*-s0-*"):
        shutil.rmtree(folder)
    later_start = FIRST_START_MS + 2 * 1000 * fake_store.STAGE_PITCH_SECONDS  # after train and measure of seed 0
    for home, start in ((root, later_start), (tmp_path / "all", FIRST_START_MS)):
        sync = TrackerSync(Store(home), empty, "convarium", RunGroup(plan))
        sync.run()
        (parent,) = (run for run in runs(sync) if run.data.tags["convarium.kind"] == "sweep")
        assert parent.info.start_time == start


def test_a_description_that_the_user_wrote_stays(tmp_path: Path, empty: str) -> None:
    root = tmp_path / "store"
    fake_store.store_fake_sweep(root, ("compression=none", "seed=0,1"))
    sync = TrackerSync(Store(root), empty, "convarium")
    sync.run()
    (parent,) = read_runs_from_database(empty, "convarium").groups.values()
    client(empty).set_tag(parent.run_id, "mlflow.note.content", "my own words")
    client(empty).delete_tag(parent.run_id, "mlflow.source.name")
    for record in root.glob("measure/*/done.json"):
        record.write_text(record.read_text().replace("2026-01", "2026-02"))
    TrackerSync(Store(root), empty, "convarium").run()
    found = client(empty).get_run(parent.run_id)
    assert found.data.tags["mlflow.note.content"] == "my own words"
    assert found.data.tags["mlflow.source.name"] == "convarium run compression=none seed=0,1"
    assert found.info.end_time > FIRST_START_MS + 30 * 24 * 3600 * 1000


def read_view_state(sync: TrackerSync) -> dict[str, Any]:
    experiment = client(sync.uri).get_experiment(sync.tracker.experiment_id)
    state = json.loads(json.loads(experiment.tags[VIEW_TAG])["state"])
    assert isinstance(state, dict)
    return state


def test_the_view_sorts_by_validation_accuracy(synced: TrackerSync) -> None:
    state = read_view_state(synced)
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`validation_accuracy`", False)


@pytest.mark.parametrize(("updated_at", "key"), [(1_700_000_000_000, "metrics.`validation_accuracy`"), (1, "mine")])
def test_a_view_of_an_earlier_version_is_replaced_but_not_one_that_the_user_changed(
    stored: Path, empty: str, updated_at: int, key: str
) -> None:
    view = {
        "name": "mine",
        "createdAt": 1_700_000_000_000,
        "updatedAt": updated_at,
        "state": json.dumps({"orderByKey": "mine"}),
    }
    client(empty).create_experiment("convarium", tags={VIEW_TAG: json.dumps(view)})
    sync = TrackerSync(Store(stored), empty, "convarium")
    assert read_view_state(sync)["orderByKey"] == key


def test_the_second_time_nothing_is_written(stored: Path, synced: TrackerSync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tracker, "__init__", lambda *_: pytest.fail("MLflow was opened"))
    again = TrackerSync(Store(stored), synced.uri, "convarium").run()
    assert vars(again) == {"added": 0, "mended": 0, "same": 6, "deleted": 0}


def test_what_was_interrupted_is_completed(stored: Path, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tell, calls = Tracker.write_run, []

    def dies(self: Tracker, *arguments: Any, **named: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        tell(self, *arguments, **named)

    monkeypatch.setattr(Tracker, "write_run", dies)
    with pytest.raises(KeyboardInterrupt):
        TrackerSync(Store(stored), empty, "convarium").run()
    monkeypatch.undo()
    half = read_runs_from_database(empty, "convarium").networks
    assert sorted(known.state is None for known in half.values()) == [False, False, False, True]
    counts = TrackerSync(Store(stored), empty, "convarium").run()
    assert (counts.added, counts.mended, counts.same) == (2, 1, 3)
    whole = read_runs_from_database(empty, "convarium")
    assert len(whole.networks) == 6
    assert not whole.duplicate_run_ids
    assert all(known.state for known in whole.networks.values())


def test_what_is_measured_again_is_mended_and_what_the_user_deleted_stays_so(tmp_path: Path, empty: str) -> None:
    root = tmp_path / "store"
    fake_store.store_fake_sweep(root, ("compression=none", "seed=0,1"))
    sync = TrackerSync(Store(root), empty, "convarium")
    sync.run()
    record = next(root.glob("measure/*-s0-*/done.json"))
    later = record.read_text().replace('"file_bytes": 100000', '"file_bytes": 99').replace("2026-01", "2026-02")
    record.write_text(later)
    deleted = read_runs_from_database(empty, "convarium").networks[next(root.glob("train/*-s1-*")).name[-12:]]
    client(empty).delete_run(deleted.run_id)
    counts = TrackerSync(Store(root), empty, "convarium").run()
    assert (counts.added, counts.mended, counts.same, counts.deleted) == (0, 1, 0, 1)
    mended = next(run for run in runs(sync) if run.info.run_name.endswith("s0"))
    assert mended.data.metrics["file_bytes"] == 99


def test_a_half_written_run_has_no_state(synced: TrackerSync, told: dict[str, Any]) -> None:
    assert all(run.data.tags[STATE_TAG] for run in told.values())


def test_a_sweep_that_is_named_becomes_the_parent_of_its_points(
    stored: Path, empty: str, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = "".join(
        f"  - '{text}'\n" for text in (fake_store.SWEEP[0], "compression.magnitude.sparsity=0.9", "seed=0,1")
    )
    write("sweeps/mine.yaml", f"description: one chain, two seeds\nexpected_time: none\ngrids:\n- {grid.strip()}\n")
    assert main(["sync", f"runtime.store={stored}", "--uri", empty]) == 0
    assert "6 added, 0 mended, 0 as they were" in capsys.readouterr().out
    for said in ("0 added, 4 mended, 0 as they were", "0 added, 0 mended, 4 as they were"):
        assert main(["sync", "sweep=mine", f"runtime.store={stored}", "--uri", empty]) == 0
        assert said in capsys.readouterr().out
    found = client(empty).search_runs(["1"]) or client(empty).search_runs([_only(empty)])
    parents = {run.info.run_id: run.info.run_name for run in found if run.data.tags["convarium.kind"] == "sweep"}
    held = [parents[run.data.tags["mlflow.parentRunId"]] for run in found if run.info.run_id not in parents]
    assert sorted(held) == ["lenet5 mnist5k (6 points)"] * 2 + ["mine (4 points)"] * 4
    (mine,) = (run for run in found if run.info.run_name == "mine (4 points)")
    assert "one chain, two seeds" in mine.data.tags["mlflow.note.content"]


def _only(uri: str) -> str:
    (found,) = client(uri).search_experiments()
    return str(found.experiment_id)
