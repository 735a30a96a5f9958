"""A step that needs another network names it; it becomes a parent, trained in the same sweep or found in the store."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_lines import Call
from convarium.errors import UserError
from convarium.planning.plan import Node, Plan
from stages.stage_harness import plan_command_line

Write = Callable[[str, str], Path]
TINY = ("architecture=mlp", "dataset=digits", "recipe.epochs=1", "compression=imitate")
TEACHER = "compression.imitate.teacher"

METHOD = """# @package compression.imitate
# Keeps the weights that are largest in the teacher, a network of the same shape.
method: pruning/imitate
version: 1
phases: [{decider: "imitating_teacher:imitate"}]
teacher: {signature: null, architecture: null, recipe: null, seed: null}
sites: ['*']
_references_: [teacher]
"""
DECIDER = """
from convarium.cvm import container
from convarium.representations.sparse import Sparse


def imitate(view):
    teacher = container.materialise_network(container.read_cvm(view.references["teacher"])).state_dict()
    largest = {site.name: teacher[site.name].abs().flatten().topk(50).indices for site in view.sites}
    return {name: Sparse.from_dense(positions, view.weights[name]) for name, positions in largest.items()}
"""


@pytest.fixture(autouse=True)
def method(write: Write, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A method of the user's own that refers to a teacher."""
    write("conf/compression/pruning/imitate.yaml", METHOD)
    write("imitating_teacher.py", DECIDER)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    sys.modules.pop("imitating_teacher", None)


def planned(*overrides: str) -> Plan:
    return plan_command_line(*TINY, *overrides)


def compress(found: Plan) -> Node:
    return next(node for node in found.nodes.values() if node.stage == "compress")


def test_a_teacher_is_trained_in_the_same_sweep() -> None:
    found = planned(f"{TEACHER}.architecture=lenet300_100", "architecture.kwargs.hidden=[8]")
    trained = [node for node in found.nodes.values() if node.stage == "train"]
    assert [node.stage_config["architecture"]["name"] for node in trained] == ["mlp", "lenet300_100"]
    assert compress(found).parents == tuple(node.signature for node in trained)
    assert trained[1].stage_config["architecture"]["kwargs"] == {}
    assert trained[1].stage_config["recipe"] == trained[0].stage_config["recipe"]


def test_a_teacher_is_no_part_of_what_the_step_hashes_beside_its_parents() -> None:
    assert "teacher" not in compress(planned(f"{TEACHER}.seed=7")).stage_config["step"]
    assert compress(planned(f"{TEACHER}.seed=7")).signature != compress(planned(f"{TEACHER}.seed=8")).signature


def test_what_is_not_named_is_the_asking_network_s() -> None:
    student, teacher = (node for node in planned(f"{TEACHER}.seed=7").nodes.values() if node.stage == "train")
    assert {**student.stage_config, "seed": 7} == teacher.stage_config


def test_a_teacher_of_many_seeds_is_paired_with_each() -> None:
    found = planned(f"{TEACHER}.recipe=adamw", "seed=0,1")
    pairs = [found.nodes[parent].stage_config["seed"] for node in found.nodes.values() if node.stage == "compress"
             for parent in node.parents]  # fmt: skip
    assert pairs == [0, 0, 1, 1]


def test_config_and_signature_give_one_result_and_it_runs(call: Call) -> None:
    code, out, error = call("run", "--json", *TINY, f"{TEACHER}.seed=7", "hydra/launcher=basic")
    assert code == 0, error
    (described,) = json.loads(out)["runs"]
    assert described["metrics"]["nonzeros"] < described["metrics"]["parameters"] / 10
    teacher = compress(planned(f"{TEACHER}.seed=7")).parents[1]
    by_signature = planned(f"{TEACHER}.signature={teacher[:8]}")
    assert compress(by_signature).signature == described["signature"]
    code, out, error = call("run", "--json", *TINY, f"{TEACHER}.signature={teacher}", "hydra/launcher=basic")
    assert (code, error) == (0, "")
    assert json.loads(out)["runs"][0]["signature"] == described["signature"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), f"{TEACHER}: which network?"),
        ((f"{TEACHER}.architecture=resnet21",), "architecture=resnet21: no such architecture"),
        ((f"{TEACHER}.signature=ffff",), "nothing in the store"),
        ((f"{TEACHER}.signature=ffff", f"{TEACHER}.seed=1"), "says nothing beside"),
        ((f"{TEACHER}.arhitecture=mlp",), "did you mean architecture?"),
        ((f"{TEACHER}.seed=x",), "seed='x'"),
    ],
)
def test_a_mistaken_reference_is_told_in_one_line(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError) as caught:
        planned(*overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
