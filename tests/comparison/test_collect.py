"""Results come out of a store as its stages put them in."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from convarium.comparison.collect import collect_plan_results, collect_store_results
from convarium.comparison.comparison_document import compare_results
from convarium.comparison.report.csv_table import format_csv_table
from convarium.comparison.terminal_table import print_comparison
from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.store.store import Store

STEP = {"method": "pruning/magnitude", "version": 1, "sparsity": 0.9}
TRAIN = {
    "architecture": {"source": "own", "name": "lenet5"}, "dataset": {"name": "mnist5k"},
    "task": {"name": "classification"}, "recipe": {"epochs": 8}, "seed": 0,
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def put(store, stage, own, parents=(), result=None, started="2026-01-01T00:00:00", version=1):
    if stage == "measure":
        own = {"dataset": {"name": "mnist5k"}, **own}
    node = Node(stage, version, own, tuple(parents), None, "x")
    record = {
        "format": 2, "signature": node.signature, "stage": stage, "version": version, "stage_config": own,
        "parents": list(parents), "fingerprint": None, "name": "x", "result": result or {"metrics": {}},
        "started": started, "seconds": 1.0, "host": {"name": "here"},
        "versions": {"convarium": "1", "torch": "2", "numpy": "3"},
    }  # fmt: skip
    folder = store.folder_of(node)
    folder.mkdir(parents=True)
    (folder / "done.json").write_text(json.dumps(record))
    return node.signature


def measured(accuracy=0.75):
    return {"metrics": {"accuracy": accuracy, "file_bytes": 10}, "correct": "e0", "images": 4, "bytes": {}}


def timed(latency, void=False):
    return {"metrics": {"latency_ms": latency, "speedup": 1.0, "peak_memory_bytes": 5}, "void": void, "range": []}


def clocked(host="here", executor="eager", batch=1):
    return {"measurement": {"executor": executor, "batch": batch, "threads": 1}, "host": host}


def refuse(store, step, parents, kind, error):
    node = Node("compress", 1, {"step": step, "seed": 99}, tuple(parents), None, "x")
    record_failure(store, node, kind, error)
    return node


def record_failure(store, node, kind, error):
    store.folder_of(node).mkdir(parents=True)
    (store.folder_of(node) / "failed.json").write_text(json.dumps({"kind": kind, "error": error, "run": "r"}))


def chain(store, **options):
    dense = put(store, "train", TRAIN, **options)
    pruned = put(store, "compress", {"step": STEP, "seed": 99}, [dense])
    return dense, pruned


def planned(network, dense, measure, *times, steps=(STEP,), executions=(), executors=("eager",), batch=(1,)):
    measurement = {"executors": list(executors), "batch_sizes": list(batch), "threads": 1, "device": "cpu"}
    runtime = {"runtime": {"store": "x"}, "tracking": {"name": "none"}, "measurement": measurement}
    config = TRAIN | runtime | {"compression": list(steps)}
    return PlannedPoint((), config, network, dense, measure, tuple(executions), times)


def test_a_plan_gives_its_measured_points_and_counts_the_others(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {}, [pruned, dense], measured())
    points = (planned(pruned, dense, measure), planned(dense, dense, "0" * 12, steps=()))
    found = collect_plan_results(Plan({}, points), store)
    (result,) = found.results
    assert (found.missing_count, found.refused, found.dense_results) == (1, (), ())
    assert (result.signature, result.dense_signature, result.is_dense) == (pruned, dense, False)
    assert (result.metrics["accuracy"], result.metrics["latency_ms"]) == (0.75, None)
    assert result.unpack_correctness().tolist() == [1, 1, 1, 0]


def test_a_dense_network_that_is_measured_is_a_reference_though_nobody_asked_for_it(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {}, [pruned, dense], measured())
    time = put(store, "time", clocked(), [pruned, dense], timed(1.0))
    put(store, "measure", {}, [dense, dense], measured(0.5))
    put(store, "time", clocked(), [dense, dense], timed(2.0))
    found = collect_plan_results(Plan({}, (planned(pruned, dense, measure, time),)), store)
    (reference,) = found.dense_results
    assert (reference.signature, reference.is_dense, len(found.results)) == (dense, True, 1)
    assert (reference.metrics["accuracy"], reference.metrics["latency_ms"]) == (0.5, 2.0)
    assert reference.config == TRAIN | {"compression": []}


def test_seeds_whose_teachers_differ_in_the_seed_alone_are_one_row(store):
    step = {"method": "transfer/kd", "version": 1}
    one_for_all = put(store, "train", TRAIN | {"recipe": {"epochs": 30}, "seed": 7})
    for seed in (0, 1, 2):
        dense = put(store, "train", TRAIN | {"seed": seed})
        for teacher in (put(store, "train", TRAIN | {"recipe": {"epochs": 20}, "seed": seed}), one_for_all):
            config = {"step": step, "seed": seed, "references": ["teacher"]}
            student = put(store, "compress", config, (dense, teacher))
            put(store, "measure", {"task": {}}, (student, dense), measured())
    rows = compare_results(collect_store_results(store).results, 0)["rows"]
    assert [(row["label"], row["seeds"]) for row in rows] == [
        ("kd teacher.recipe.epochs=20 teacher.seed=null", [0, 1, 2]),
        ("kd teacher.recipe.epochs=30 teacher.seed=7", [0, 1, 2]),
    ]


def test_a_dense_network_measured_on_other_data_is_no_reference(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {"dataset": {"name": "digits"}}, [pruned, dense], measured())
    put(store, "measure", {"dataset": {"name": "mnist5k"}}, [dense, dense], measured())
    assert collect_plan_results(Plan({}, (planned(pruned, dense, measure),)), store).dense_results == ()


def test_a_measured_network_without_a_worker_for_its_times_says_so_in_its_row(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {}, [pruned, dense], measured())
    time = Node("time", 3, clocked("there"), (pruned, dense), None, "x")
    reason = "no worker ran on there, torch 2; these did: here, torch 2"
    record_failure(store, time, "no_worker", reason)
    found = collect_plan_results(Plan({}, (planned(pruned, dense, measure, time.signature),)), store)
    assert (found.refused, found.missing_count) == ((), 0)
    (row,) = compare_results(found.results, 0)["rows"]
    assert (row["status"], row["metrics"]["accuracy"]["mean"]) == (reason, 0.75)
    store.folder_of(time).rename(store.root / "gone")
    put(store, "time", clocked("there"), [pruned, dense], timed(2.0), version=3)
    found = collect_plan_results(Plan({}, (planned(pruned, dense, measure, time.signature),)), store)
    assert compare_results(found.results, 0)["rows"][0]["status"] is None


def test_what_can_t_be_made_is_told_with_its_reason_whichever_step_refused(store):
    dense, _ = chain(store)
    first = refuse(store, {"bits": 1}, [dense], "not_reachable", "not reachable (least 9,120 bytes)")
    last = Node("compress", 1, {"step": {"method": "coding/huffman"}, "seed": 98}, (first.signature,), None, "x")
    broken = refuse(store, {"bits": 2}, [dense], None, "the loss is not a number any more")
    nodes = {node.signature: node for node in (first, last, broken)}
    points = (planned(last.signature, dense, "0" * 12), planned(broken.signature, dense, "1" * 12))
    found = collect_plan_results(Plan(nodes, points), store)
    assert [one.reason for one in found.refused] == ["not reachable (least 9,120 bytes)"]
    assert (found.results, found.missing_count) == ((), 1)


def test_facts_are_read_off_all_stages(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {"dataset": {"name": "x", "images": {"test": 4}}}, [pruned, dense], measured())
    time = put(store, "time", clocked(), [pruned, dense], timed(1.0))
    (result,) = collect_plan_results(Plan({}, (planned(pruned, dense, measure, time),)), store).results
    assert result.provenance.versions == ("convarium 1", "torch 2")
    assert '"test":4' in result.provenance.quality_protocol
    assert result.provenance.latency_host == "here"


def test_latency_is_taken_from_the_time_stage_unless_it_is_void(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {}, [pruned, dense], measured())
    good = put(store, "time", clocked("a"), [pruned, dense], timed(2.0))
    void = put(store, "time", clocked("b"), [pruned, dense], timed(3.0, void=True))
    points = (planned(pruned, dense, measure, good), planned(pruned, dense, measure, void))
    one, other = collect_plan_results(Plan({}, points), store).results
    assert (one.metrics["latency_ms"], one.is_latency_void) == (2.0, False)
    assert (other.metrics["latency_ms"], other.is_latency_void) == (None, True)


def test_a_store_tells_the_config_of_a_network_from_the_stages_that_made_it(store):
    dense, pruned = chain(store)
    put(store, "measure", {"of": "dense"}, [dense, dense], measured())
    put(store, "measure", {}, [pruned, dense], measured())
    found = {result.signature: result for result in collect_store_results(store).results}
    assert found[pruned].config == TRAIN | {"compression": [STEP]}
    assert (found[pruned].dense_signature, found[dense].is_dense) == (dense, True)


def test_a_plan_and_the_whole_store_give_the_same_rows(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {}, [pruned, dense], measured())
    (asked,) = collect_plan_results(Plan({}, (planned(pruned, dense, measure),)), store).results
    (stored,) = collect_store_results(store).results
    assert asked.row_key == stored.row_key


def test_a_network_whose_training_is_gone_is_left_out(store):
    put(store, "measure", {}, ["0" * 12, "0" * 12], measured())
    assert collect_store_results(store).results == ()


def test_only_times_taken_like_the_latest_count(store):
    dense, pruned = chain(store)
    for network in (dense, pruned):
        put(store, "measure", {"of": network}, [network, dense], measured())
    put(store, "time", clocked("old"), [dense, dense], timed(9.0), started="2026-01-01T00:00:00")
    put(store, "time", clocked("new"), [pruned, dense], timed(1.0), started="2026-01-02T00:00:00")
    found = {result.signature: result.metrics["latency_ms"] for result in collect_store_results(store).results}
    assert found == {dense: None, pruned: 1.0}


def test_of_two_versions_of_a_stage_the_latest_measured_counts(store):
    old, new = put(store, "train", TRAIN), put(store, "train", TRAIN, version=2)
    put(store, "measure", {"of": "old"}, [old, old], measured(0.5), started="2026-01-01T00:00:00")
    put(store, "measure", {"of": "new"}, [new, new], measured(1.0), started="2026-01-02T00:00:00")
    (found,) = collect_store_results(store).results
    assert found.signature == new


def test_what_an_executor_quantises_anew_says_who_did(store):
    dense, pruned = chain(store)
    measure = put(store, "measure", {}, [pruned, dense], measured())
    executors = ("eager", "onnxruntime", "onnxruntime_int8")
    times = [put(store, "time", clocked(executor=one), [pruned, dense], timed(1.0)) for one in executors]
    found = collect_plan_results(Plan({}, (planned(pruned, dense, measure, *times, executors=executors),)), store)
    document = compare_results(found.results, 0)
    (row,) = document["rows"]
    assert [one["quantized_by"] for one in row["timings"]] == [None, None, "onnxruntime"]
    (line,) = csv.DictReader(io.StringIO(format_csv_table(document)))
    assert {key: value for key, value in line.items() if "quantized" in key} == {
        "onnxruntime_int8_quantized_by": "onnxruntime"
    }
    console = Console(file=io.StringIO(), width=200)
    print_comparison(document, console)
    assert console.file.getvalue().count("quantized by onnxruntime") == 2
