import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from convarium.errors import UserError
from convarium.planning import plan_file
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.planning.plan_file import read_plan, read_plan_without_points, write_plan
from store.fake_run import make_fake_node


def _plan() -> tuple[Plan, Node, Node, Node]:
    train = make_fake_node("train")
    network = make_fake_node("network", [train])
    measure = make_fake_node("measure", [network, train])
    point = PlannedPoint(("seed=0",), {"seed": 0}, network.signature, train.signature, measure.signature)
    return Plan({one.signature: one for one in (train, network, measure)}, (point,)), train, network, measure


def _write(file: Path, document: Any) -> None:
    file.write_bytes(gzip.compress(json.dumps(document).encode()))


def test_a_plan_comes_back_from_its_files_as_it_was(tmp_path: Path) -> None:
    plan = _plan()[0]
    file = write_plan(plan, tmp_path)
    assert read_plan(file) == plan
    assert write_plan(read_plan(file), tmp_path) == file, "equal plans are named alike"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_worker_reads_nodes_and_goals_only(tmp_path: Path) -> None:
    plan = _plan()[0]
    file = write_plan(plan, tmp_path)
    file.with_name(file.name.replace(".plan.", ".points.")).unlink()
    read = read_plan_without_points(file)
    assert read.nodes == plan.nodes
    assert read.select_needed(set()) == plan.select_needed(set())
    with pytest.raises(UserError, match=r"points\.json\.gz is not there"):
        read_plan(file)


def test_a_plan_of_many_alike_points_is_deflated_to_less_than_a_tenth(tmp_path: Path) -> None:
    config = {"architecture": {"name": "lenet5"}, "compression": [{"name": "magnitude", "sparsity": 0.5}]}
    train = make_fake_node("train")
    nodes = [train, *(make_fake_node(f"compress-{seed}", [train], seed=seed) for seed in range(2000))]
    points = [
        PlannedPoint((f"seed={seed}",), config | {"seed": seed}, node.signature, train.signature, node.signature)
        for seed, node in enumerate(nodes[1:])
    ]
    file = write_plan(Plan({node.signature: node for node in nodes}, tuple(points)), tmp_path)
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    text = sum(len(gzip.decompress(path.read_bytes())) for path in tmp_path.iterdir())
    assert written < text / 10
    assert len(read_plan(file).points) == 2000


def test_where_a_stage_runs_is_no_part_of_its_signature() -> None:
    assert make_fake_node("a", journal=Path("here")).signature == make_fake_node("a").signature
    assert make_fake_node("a").signature != make_fake_node("a", seed=1).signature


@pytest.mark.parametrize("text", [b'{"format": 3}', b"", b"[]"])
@pytest.mark.parametrize("is_compressed", [True, False])
def test_what_is_no_plan_is_refused(text: bytes, is_compressed: bool, tmp_path: Path) -> None:
    file = tmp_path / "a.plan.json.gz"
    file.write_bytes(gzip.compress(text) if is_compressed and text else text)
    with pytest.raises(UserError, match=r"a\.plan\.json\.gz is not a plan of format 4"):
        read_plan(file)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"format": 4, "nodes": []}, "'goals'"),
        ({"format": 4, "nodes": [3], "goals": []}, "object"),
        ({"format": 4, "nodes": [], "goals": ["a"]}, "the stage a is not there"),
    ],
)
def test_what_is_json_but_no_plan_is_damaged(document: Any, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "a.plan.json.gz"
    _write(file, document)
    with pytest.raises(UserError) as caught:
        read_plan_without_points(file)
    assert str(caught.value).startswith(f"{file} is damaged: it is not a complete plan (")
    assert reason in str(caught.value)


def test_a_plan_that_was_cut_or_changed_is_damaged(tmp_path: Path) -> None:
    file = write_plan(_plan()[0], tmp_path)
    data = file.read_bytes()
    for damaged in (data[:-9], data[:20], data[:30] + bytes([data[30] ^ 255]) + data[31:]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="is damaged: it is not a complete plan"):
            read_plan_without_points(file)


def test_a_plan_that_would_fill_the_memory_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_file, "MAX_JSON_BYTES", 1000)
    file = tmp_path / "a.plan.json.gz"
    _write(file, {"format": 4, "nodes": [], "goals": ["a" * 2000]})
    with pytest.raises(UserError, match="it holds more than 1,000 bytes"):
        read_plan_without_points(file)


def test_a_plan_that_lacks_a_stage_it_asks_for_is_damaged(tmp_path: Path) -> None:
    plan, train, network, measure = _plan()
    file = write_plan(Plan({one.signature: one for one in (train, measure)}, plan.points), tmp_path)
    with pytest.raises(UserError, match=f"the stage {network.signature} is not there"):
        read_plan(file)


def test_only_what_leads_to_missing_results_is_needed() -> None:
    plan, train, network, measure = _plan()
    assert plan.select_needed(set()) == {train.signature, network.signature, measure.signature}
    assert plan.select_needed({train.signature}) == {network.signature, measure.signature}
    assert plan.select_needed({network.signature, measure.signature}) == set(), (
        "the dense network is behind what is there"
    )
