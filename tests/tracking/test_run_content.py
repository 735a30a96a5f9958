"""What a tracked run says, without any tracker."""

from pathlib import Path

import pytest

from convarium.comparison.collect import collect_store_results
from convarium.comparison.report.row_details import read_planned_overrides
from convarium.store.store import Store
from convarium.tracking import artifacts, run_content
from convarium.tracking.run_content import NetworkEntry, RunContent
from convarium.tracking.run_group import read_stored_groups as groups
from tracking import fake_store


@pytest.fixture(scope="module")
def store(stored: Path) -> Store:
    return Store(stored)


@pytest.fixture(scope="module")
def entries(store: Store) -> dict[str, NetworkEntry]:
    return {entry.name: entry for entry in run_content.build_entries(collect_store_results(store).results, store)}


@pytest.fixture(scope="module")
def content(store: Store, entries: dict[str, NetworkEntry]) -> RunContent:
    return run_content.build_content(
        entries["lenet5 mnist5k magnitude 0.9 → kmeans 5 s1"], store, read_planned_overrides(store)
    )


def test_runs_are_named_as_a_person_would(entries: dict[str, NetworkEntry]) -> None:
    assert set(entries) == {
        f"lenet5 mnist5k {what} s{seed}"
        for what in ("dense", "magnitude 0.8 → kmeans 5", "magnitude 0.9 → kmeans 5")
        for seed in (0, 1)
    }


def test_curves_go_on_from_training_over_every_step(content: RunContent) -> None:
    losses = [figure for figure in content.epoch_metrics if figure.key == "epoch/loss"]
    assert [figure.step for figure in losses] == list(range(1, 3 * fake_store.EPOCHS + 1))
    assert [figure.time_ms for figure in losses] == sorted(figure.time_ms for figure in losses)
    assert content.phase_starts == {0: "train", fake_store.EPOCHS: "compress"}


def test_figures_have_the_names_of_the_comparison(content: RunContent) -> None:
    found = {figure.key: figure.value for figure in content.final_metrics}
    assert found.keys() >= {"accuracy", "validation_accuracy", "file_bytes", "ratio", "macs", "nonzeros"}
    assert found["seconds/train"] == 4.5
    assert found["seconds/compress"] == 9.0
    assert found["bytes/indices"] == 600


def test_params_are_keys_as_they_are_typed(content: RunContent) -> None:
    assert content.params["compression.magnitude.sparsity"] == "0.9"
    assert content.params["recipe.lr"] == "0.05"
    assert content.params["seed"] == "1"
    assert not any("root" in key or key.startswith(("runtime", "tracking")) for key in content.params)


def test_long_values_and_keys_are_cut(content: RunContent) -> None:
    config = {"architecture": {"kwargs": "x" * 7000, "k" * 300: 1}, "compression": []}
    found = run_content.format_params(config)
    assert len(found["architecture.kwargs"]) == run_content.MAX_VALUE_CHARS
    assert max(map(len, found)) == run_content.MAX_KEY_CHARS


def test_tags_tell_where_it_comes_from(content: RunContent) -> None:
    assert content.tags["convarium.kind"] == "pipeline"
    assert content.tags["convarium.stages"].startswith("train ")
    assert "torch" in content.tags["convarium.versions"]
    assert content.tags["mlflow.source.name"].startswith("convarium run 'compression=[pruning/magnitude,")
    assert len(content.tags["mlflow.source.git.commit"]) == 40


def test_a_state_changes_with_the_records_only(stored: Path, entries: dict[str, NetworkEntry], tmp_path: Path) -> None:
    again = Store(stored)
    assert {entry.state for entry in run_content.build_entries(collect_store_results(again).results, again)} == {
        entry.state for entry in entries.values()
    }
    other = tmp_path / "store"
    fake_store.store_fake_sweep(other)
    record = next(other.glob("measure/*/done.json"))
    record.write_text(record.read_text().replace("2026-01-01", "2026-02-02"))
    changed = run_content.build_entries(collect_store_results(Store(other)).results, Store(other))
    assert len({entry.state for entry in changed} - {entry.state for entry in entries.values()}) == 1


def test_a_plan_of_several_points_is_a_group_of_all_its_networks(
    store: Store, entries: dict[str, NetworkEntry]
) -> None:
    (group,) = groups(store)
    assert group.name == "lenet5 mnist5k (6 points)"
    assert group.network_signatures == {entry.signature for entry in entries.values()}


def test_files_are_the_networks_own_and_small_plots(
    store: Store, entries: dict[str, NetworkEntry], content: RunContent
) -> None:
    entry = entries["lenet5 mnist5k magnitude 0.9 → kmeans 5 s1"]
    links = artifacts.find_store_files(entry, store)
    made = artifacts.build_run_files(content, links)
    assert links["network.cvm"].read_bytes().startswith(entry.signature.encode())
    assert {name for name in links if name.startswith("logs/")} == {
        "logs/1_train.txt", "logs/2_compress.txt", "logs/3_compress.txt"
    }  # fmt: skip
    assert set(made) == {"result.json", "curves.svg", "bytes.svg"}
    assert made["curves.svg"].count("<polyline") == 2
    assert sum(map(len, made.values())) < 30_000


def test_a_file_is_linked_and_no_copy_is_made(tmp_path: Path) -> None:
    source = tmp_path / "network.cvm"
    source.write_bytes(b"network")
    for _ in range(2):
        artifacts.place_files(tmp_path / "run", {"network.cvm": source}, {"result.json": "{}"})
    assert (tmp_path / "run" / "network.cvm").stat().st_ino == source.stat().st_ino
    assert (tmp_path / "run" / "result.json").read_text() == "{}"
