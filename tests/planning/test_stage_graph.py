"""From points to the graph of stages: what is shared, what is told apart, what does not matter."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.host import devices
from convarium.host.provenance import read_cpu_model
from convarium.planning.node_names import format_node_name
from convarium.planning.plan import Node
from convarium.stages import timing_config
from convarium.store.signature import canonical_json
from stages.stage_harness import TINY_TRAINING, plan_command_line, plan_command_nodes

GOLDEN = Path(__file__).with_name("golden_signatures.json")
CHAINS = "compression=none,magnitude,[magnitude,kmeans],[magnitude,kmeans,huffman]"


def stages(found: list[Node]) -> list[str]:
    return [node.stage for node in found]


def test_a_chain_is_a_stage_a_step_each_on_the_one_before() -> None:
    plan = plan_command_line(*TINY_TRAINING, "compression=[magnitude,kmeans,huffman]")
    train, prune, share, code, measure = plan.nodes.values()
    assert stages(list(plan.nodes.values())) == ["train", "compress", "compress", "compress", "measure"]
    assert [node.parents for node in (train, prune, share, code)] == [
        (), (train.signature,), (prune.signature,), (share.signature,),
    ]  # fmt: skip
    assert [node.stage_config["step"]["method"] for node in (prune, share, code)] == [
        "pruning/magnitude", "quantization/kmeans", "coding/huffman",
    ]  # fmt: skip
    assert measure.parents == (code.signature, train.signature)
    (point,) = plan.points
    assert (point.network, point.dense, point.measure, point.times) == (
        code.signature, train.signature, measure.signature, (),
    )  # fmt: skip


def test_the_dense_network_is_measured_against_itself() -> None:
    train, measure = plan_command_nodes(*TINY_TRAINING)
    assert measure.parents == (train.signature, train.signature)


def test_shared_prefixes_appear_once() -> None:
    found = plan_command_nodes(*TINY_TRAINING, CHAINS, "seed=0,1")
    assert {stage: stages(found).count(stage) for stage in set(stages(found))} == {
        "train": 2,
        "compress": 6,
        "measure": 8,
    }
    assert [node.signature for node in found] == list({node.signature: None for node in found})


def test_parents_come_before_their_children() -> None:
    seen: set[str] = set()
    for node in plan_command_nodes(*TINY_TRAINING, CHAINS):
        assert seen.issuperset(node.parents)
        seen.add(node.signature)


def test_a_seed_changes_every_stage() -> None:
    zero, one = (
        {node.signature for node in plan_command_nodes(*TINY_TRAINING, CHAINS, f"seed={seed}")} for seed in (0, 1)
    )
    assert zero.isdisjoint(one)


def test_steps_draw_from_streams_of_their_own() -> None:
    chain = plan_command_nodes(*TINY_TRAINING, "compression=[random,kmeans]")[:-1]
    assert len({node.stage_config["seed"] for node in chain}) == len(chain)


def test_a_knob_changes_its_step_and_what_follows_only() -> None:
    plain, sparser = (
        plan_command_nodes(
            *TINY_TRAINING, "compression=[magnitude,kmeans]", f"compression.magnitude.sparsity={sparsity}"
        )
        for sparsity in (0.8, 0.9)
    )
    same = [one.signature == other.signature for one, other in zip(plain, sparser, strict=True)]
    assert same == [True, False, False, False]


@pytest.mark.parametrize(
    "override",
    [
        "dataset.root=elsewhere",
        "runtime.store=elsewhere",
        "runtime.accelerator=cpu",
        "runtime.workers=7",
        "runtime.threads=3",
        "runtime.checkpoint_minutes=null",
        "tracking=none",
    ],
)
def test_where_and_how_it_runs_changes_no_signature(override: str) -> None:
    command = (*TINY_TRAINING, CHAINS, "measurement.executors=[eager]")
    assert [node.signature for node in plan_command_nodes(*command, override)] == [
        node.signature for node in plan_command_nodes(*command)
    ]


def test_what_is_not_hashed_reaches_the_stage_beside() -> None:
    (train, _) = plan_command_nodes(
        *TINY_TRAINING,
        "dataset.root=elsewhere",
        "runtime.accelerator=cpu",
        "runtime.threads=3",
        "runtime.checkpoint_minutes=5",
    )
    assert train.runtime == {
        "root": "elsewhere", "accelerator": "cpu", "threads": 3, "checkpoint_minutes": 5.0, "devices": 1,
        "alone": False, "allow": [],
    }  # fmt: skip


def test_time_is_a_stage_of_its_own_that_changes_no_other() -> None:
    without, timed = (
        plan_command_nodes(*TINY_TRAINING),
        plan_command_nodes(*TINY_TRAINING, "measurement.executors=[eager]"),
    )
    assert stages(timed) == ["train", "measure", "time"]
    assert [node.signature for node in timed[:2]] == [node.signature for node in without]
    batched = plan_command_nodes(*TINY_TRAINING, "measurement.executors=[eager]", "measurement.batch_sizes=[8]")
    assert batched[2].signature != timed[2].signature
    assert batched[2].parents == timed[2].parents == timed[1].parents


def test_each_executor_and_number_of_images_is_a_time_of_its_own() -> None:
    plan = plan_command_line(
        *TINY_TRAINING,
        "compression=magnitude",
        "measurement.executors=[compiled,eager]",
        "measurement.batch_sizes=[1,16]",
    )
    (point,) = plan.points
    times = [plan.nodes[signature] for signature in point.times]
    settings = [node.stage_config["measurement"] for node in times]
    assert [(setting["executor"], setting["batch"]) for setting in settings] == [
        ("compiled", 1), ("compiled", 16), ("eager", 1), ("eager", 16),
    ]  # fmt: skip
    assert {node.parents for node in times} == {(point.network, point.dense)}
    assert (
        times[2].signature
        == plan_command_nodes(*TINY_TRAINING, "compression=magnitude", "measurement.executors=[eager]")[-1].signature
    )
    (execution,) = [plan.nodes[signature] for signature in point.executions]
    assert (execution.stage_config["executor"], execution.parents) == ("compiled", (point.network,))


def test_a_time_of_eager_is_hashed_as_it_always_was() -> None:
    time = plan_command_nodes(*TINY_TRAINING, "measurement.executors=[eager]")[-1]
    host = {"cpu": read_cpu_model(), "executor": f"torch {version('torch')}"}
    assert time.stage_config == {"measurement": {"executor": "eager", "batch": 1, "threads": 1}, "host": host}
    (prune,) = (
        node
        for node in plan_command_nodes(*TINY_TRAINING, "compression=filter_l1", "budget.latency=0.5")
        if node.stage == "compress"
    )
    assert prune.stage_config["time"] == time.stage_config


def test_what_is_exported_is_executed_for_the_dense_network_too_and_both_are_what_races() -> None:
    plan = plan_command_line(*TINY_TRAINING, "compression=none,magnitude", "measurement.executors=[onnxruntime_int8]")
    dense, pruned = plan.points
    (own,), (other,) = pruned.executions, dense.executions
    (time,) = (plan.nodes[signature] for signature in pruned.times)
    assert time.parents == (pruned.network, pruned.dense, own, other)
    assert plan.nodes[dense.times[0]].parents == (dense.network, dense.network, other, other)
    assert plan.nodes[own].parents == (pruned.network,)
    assert plan.nodes[own].stage_config["calibration_images"] == 500
    assert time.stage_config["host"]["executor"].startswith("onnxruntime ")
    assert time.name == "mlp-digits-magnitude0.9-s0-onnxruntime_int8-1x"
    assert plan.nodes[other].name == "mlp-digits-s0-onnxruntime_int8"


def test_a_gpu_is_part_of_what_a_time_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = (*TINY_TRAINING, "measurement.executors=[eager]", "measurement.device=gpu")
    monkeypatch.setattr(devices, "_query_gpus", tuple)
    monkeypatch.setattr(devices, "DRIVER_FOLDER", tmp_path)
    with pytest.raises(UserError, match="this machine has no NVIDIA GPU"):
        plan_command_nodes(*command)
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 3\n")
    time = plan_command_nodes(*command)[-1]
    assert (time.stage_config["measurement"]["device"], time.stage_config["host"]["gpu"]) == ("gpu", "NVIDIA H200")


def test_what_is_for_named_hardware_is_hashed_as_if_it_were_planned_there(monkeypatch: pytest.MonkeyPatch) -> None:
    command = (*TINY_TRAINING, "compression=filter_l1", "budget.latency=0.5", "measurement.executors=[compiled]")
    named = plan_command_nodes(*command, 'measurement.cpu="AMD EPYC 7543"')
    wanted = {"cpu": "AMD EPYC 7543", "executor": f"torch {version('torch')}"}
    hardware = {(node.stage, canonical_json(node.runtime.get("hardware"))) for node in named}
    assert hardware == {
        ("train", "null"), ("measure", "null"),
        ("compress", canonical_json(wanted)), ("execute", canonical_json(wanted)), ("time", canonical_json(wanted)),
    }  # fmt: skip
    monkeypatch.setattr(timing_config, "read_cpu_model", lambda: "AMD EPYC 7543")
    assert [node.signature for node in plan_command_nodes(*command)] == [node.signature for node in named]


def test_a_time_on_a_gpu_is_planned_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "_query_gpus", tuple)
    monkeypatch.setattr(devices, "DRIVER_FOLDER", tmp_path)
    gpu = ("measurement.executors=[eager]", "measurement.device=gpu", 'measurement.gpu="NVIDIA H200"')
    time = plan_command_nodes(*TINY_TRAINING, *gpu)[-1]
    assert time.stage_config["host"]["gpu"] == time.runtime["hardware"]["gpu"] == "NVIDIA H200"


def test_work_is_epochs_times_images() -> None:
    train, prune, measure = plan_command_nodes(
        *TINY_TRAINING, "compression=magnitude", "compression.magnitude.rounds=3"
    )
    assert (train.work, prune.work, measure.work) == (2 * 200, 3 * 2 * 200, 0)


def test_names_are_for_people_and_for_folders() -> None:
    names = [
        node.name for node in plan_command_nodes(*TINY_TRAINING, "compression=[magnitude,kmeans,huffman]", "seed=3")
    ]
    assert names[0] == "mlp-digits-s3"
    assert names[-1] == "mlp-digits-magnitude0.9-kmeans5-huffman-s3"
    assert plan_command_nodes(*TINY_TRAINING, "compression=filter_l1")[1].name == "mlp-digits-filter_l1-0.5-s0"
    config = {"architecture": {"name": "a/b c" * 99}, "dataset": {"name": "d"}, "seed": 0}
    assert format_node_name(config, []).startswith("a_b_ca_b_c")
    assert len(format_node_name(config, [])) == 100


@pytest.mark.parametrize("line", json.loads(GOLDEN.read_text()), ids=lambda line: " ".join(line["command"]))
def test_signatures_of_today_are_those_of_yesterday(line: dict[str, list[str]]) -> None:
    """The list may only grow. A line that fails here means that stored results are not found any more: bump a version
    if what is computed has changed, and add a line; else undo what moved it."""
    assert [f"{node.stage} {node.signature}" for node in plan_command_nodes(*line["command"])] == line["stages"]
