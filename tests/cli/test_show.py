"""`show` says what is stored at a signature, what made it, what stands around it, and what it printed."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from command_lines import Call, Pretend
from convarium.cli import result_command
from convarium.planning import stage_graph
from convarium.planning.plan_file import write_plan
from convarium.store.store import Store
from stages.stage_harness import plan_command_line

LINE = ("architecture=mlp", "dataset=digits", "compression=[magnitude,kmeans]", "compression.magnitude.sparsity=0.7",
        "compression.kmeans.per_site={fc1*:3}", "recipe.lr=0.02", "recipe=adamw", "seed=3")  # fmt: skip


def test_a_network_with_what_made_it_and_what_was_made_from_it(pretend: Pretend, call: Call) -> None:
    train, magnitude, kmeans, measure = pretend(LINE).nodes.values()
    code, out, _ = call("show", kmeans.signature[:6], "--json")
    found = json.loads(out)
    assert (code, found["stage_config"]) == (0, kmeans.stage_config)
    assert found["parents"] == [{"signature": magnitude.signature, "stage": "compress", "name": magnitude.name}]
    assert found["children"] == [{"signature": measure.signature, "stage": "measure", "name": measure.name}]
    assert {"name": "network.cvm", "bytes": 1000} in found["files"]
    assert "accuracy: 0.93\n" in call("show", kmeans.signature)[1]
    shown = call("show", magnitude.signature)[1]
    assert f"- {train.signature} train {train.name}\n" in shown
    assert f"- {kmeans.signature} compress {kmeans.name}\n" in shown
    assert "network.cvm: 1,000 bytes" in shown


def test_a_parent_is_named_once_and_a_derived_seed_as_such(pretend: Pretend, call: Call) -> None:
    plan = pretend((*LINE[:2], "compression=none,kmeans", "seed=3"))
    (compress,) = (node for node in plan.nodes.values() if node.stage == "compress")
    dense = plan.points[0]
    assert f"  seed: {compress.stage_config['seed']} (derived from seed 3)\n" in call("show", compress.signature)[1]
    assert "  seed: 3\n" in call("show", dense.network)[1]
    assert call("show", dense.measure)[1].count(f"- {dense.network} train") == 1


@pytest.mark.parametrize("line", [
    LINE,
    ("architecture=mlp", "dataset=digits"),
    ("architecture=timm", "architecture.name=resnet10t", "dataset=mnist5k", "compression=[filter_l1]"),
    ("compression=[levels,arithmetic]", "budget.bytes=20000", "dataset.train_size=200"),
    ("architecture=mlp", "dataset=digits", "compression=[kd,kmeans]", "compression.kd.teacher.architecture=lenet5",
     "compression.kmeans.terms=[kd]"),
    ("architecture=mlp", "dataset=digits", "measurement.executors=[eager]", "measurement.batch_sizes=[1,16]"),
    ("architecture=mlp", "dataset=digits", "measurement.executors=[compiled]", "measurement.device=gpu",
     'measurement.cpu="AMD EPYC 7543"', 'measurement.gpu="NVIDIA H200"'),
    ("architecture=mlp", "dataset=digits", "compression=[filter_l1,kmeans]", "budget.latency=0.5",
     "measurement.batch_sizes=[4]", 'measurement.cpu="AMD EPYC 7543"'),
    ("architecture=mlp", "dataset=digits", "compression=[magnitude]", "recipe.optimizer=torch.optim:NAdam",
     "recipe.mixup=0.2", "recipe.optimizer_kwargs={betas:[0.9,0.99]}", "recipe.schedule=step",
     "recipe.schedule_kwargs={step_size:3}"),
])  # fmt: skip
def test_the_command_of_every_stage_is_read_off_its_config(line: tuple[str, ...], pretend: Pretend, call: Call) -> None:
    """No plan is stored: the stages were made elsewhere."""
    for signature in pretend(line).nodes:
        command = json.loads(call("show", signature, "--json")[1])["command"]
        assert command is not None
        convarium, run, *overrides = shlex.split(command)
        assert (convarium, run) == ("convarium", "run")
        assert signature in plan_command_line(*overrides).nodes


def test_the_command_is_the_one_that_was_typed_where_a_plan_holds_it(pretend: Pretend, call: Call) -> None:
    made = pretend((*LINE, "runtime.workers=1"))
    folder = Path("outputs/store/plans")
    folder.mkdir()
    write_plan(made, folder)
    command = json.loads(call("show", made.points[0].measure, "--json")[1])["command"]
    assert shlex.split(command)[2:] == [text for text in made.points[0].overrides if not text.startswith("runtime.")]


def test_what_no_command_asks_for_any_more_says_so(
    pretend: Pretend, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = pretend(LINE).points[0].network
    monkeypatch.setattr(stage_graph, "TRAIN", replace(stage_graph.TRAIN, version=99))
    assert result_command.find_result_command(Store(Path("outputs/store")), signature) is None
    assert "command: no command asks for it any more\n" in call("show", signature)[1]


def test_a_failure_shows_its_line_its_command_and_where_its_log_is(pretend: Pretend, call: Call) -> None:
    made = pretend(LINE)
    signature = made.points[0].measure
    folder = Store(Path("outputs/store")).folder_of(made.nodes[signature])
    (folder / "done.json").unlink()
    (folder / "failed.json").write_text(
        '{"error": "the loss is NaN", "cause": "nan", "host": "there", "attempts": 2, "traceback": "", "run": ""}'
    )
    Path("outputs/store/plans").mkdir()
    write_plan(made, Path("outputs/store/plans"))
    shown = call("show", signature)[1]
    assert "error: the loss is NaN\n  cause: nan\n" in shown
    assert "host: there" in shown
    assert "command: convarium run architecture=basic/mlp" in shown
    assert f"log: {folder}/log.txt (show --log prints it)" in shown
    assert json.loads(call("show", signature, "--json")[1])["failed"]["attempts"] == 2


def test_the_log_alone(pretend: Pretend, call: Call) -> None:
    made = pretend(LINE)
    node = made.nodes[made.points[0].measure]
    assert call("show", node.signature, "--log") == (0, f"log of {node.name}\n", "")
    code, out, _ = call("show", node.signature[:8], "--log", "--json")
    assert (code, json.loads(out)) == (0, {"signature": node.signature, "log": f"log of {node.name}\n"})
    (Store(Path("outputs/store")).folder_of(node) / "log.txt").unlink()
    code, _, error = call("show", node.signature, "--log")
    assert (code, error.count("\n")) == (2, 1)
    assert f"{node.signature} has no log" in error
