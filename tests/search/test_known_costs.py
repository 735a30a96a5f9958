"""A cost is known before training only if it is that of the score, to the last byte."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from command_lines import SMALL_CONDENSENET, SMALL_MLP, Call
from convarium.architectures import factory
from convarium.search.evaluators.full import FullEvaluator
from convarium.search.known_costs import find_known_costs
from convarium.store.store import Store
from search.trials import compose_point, run_trials

pytestmark = pytest.mark.xdist_group("known_costs")  # its networks are made once
SMALL_LENET = ("architecture=lenet5", "dataset=mnist5k", "dataset.train_size=200", "recipe.epochs=1")
TINY = ("dataset.train_size=100", "recipe.epochs=1")
ONE_EPOCH = {
    "magnitude": ("rounds=1", "epochs=1"), "random": ("rounds=1", "epochs=1"), "kmeans": ("epochs=1",),
    "uniform": ("epochs=1",), "levels": ("epochs=1",), "bwn": ("epochs=1",),
}  # fmt: skip
DENSE = {"parameters", "macs", "file_bytes", "ratio"}
STRUCTURE = {"parameters", "macs"}


def score(store: Path, *overrides: str) -> Any:
    plan = run_trials(store, *overrides)
    return FullEvaluator().measures(plan, compose_point(*overrides), Store(store))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("known") / "store"


@pytest.mark.parametrize(
    "line",
    [
        SMALL_LENET,
        SMALL_MLP,
        (*SMALL_CONDENSENET, "recipe.epochs=1"),
        ("architecture=resnet20", "dataset=digits", "dataset.img_size=16", "dataset.channels=3", *TINY),
    ],
    ids=["lenet5", "mlp", "condensing", "three channels"],
)
def test_without_compression_size_and_work_are_known_to_the_byte(line: tuple[str, ...], store: Path) -> None:
    known = find_known_costs(compose_point(*line))
    assert known.keys() == DENSE
    measures = score(store, *line)
    assert known == {name: measures[name] for name in DENSE}


@pytest.mark.parametrize(
    "methods",
    [
        "magnitude", "random", "kmeans", "uniform", "levels", "bwn", "xz",
        "magnitude,kmeans,huffman", "magnitude,levels,arithmetic",
    ],
)  # fmt: skip
def test_behind_steps_that_change_values_parameters_and_work_are_known_and_bytes_never(
    methods: str, store: Path
) -> None:
    knobs = [f"compression.{name}.{knob}" for name in methods.split(",") for knob in ONE_EPOCH.get(name, ())]
    line = (*SMALL_LENET, f"compression=[{methods}]", *knobs)
    known = find_known_costs(compose_point(*line))
    assert known.keys() == STRUCTURE
    measures = score(store, *line)
    assert known == {name: measures[name] for name in STRUCTURE}
    assert measures["ratio"] > 1


@pytest.mark.parametrize(
    "methods",
    [
        "filter_l1",
        "random_filters",
        "global_gradual",
        "svd",
        "kd",
        "small_dense",
        "nncodec",
        "filter_l1,kmeans,huffman",
    ],
)
def test_behind_a_step_that_may_change_the_structure_nothing_is_known(methods: str) -> None:
    assert find_known_costs(compose_point(*SMALL_LENET, f"compression=[{methods}]")) == {}


def test_a_step_of_the_users_own_is_known_by_what_its_yaml_says(write: Any) -> None:
    text = (
        "# @package compression.{name}\nmethod: mine/{method}\nversion: 1\nphases: [{{decider: filter_l1}}]\n"
        "sites: ['*']\nchannels_removed: 0.5\nper_site: {{}}\nscope: layer\n{leaves}\n"
    )
    write("conf/compression/mine/cut.yaml", text.format(name="cut", method="cut", leaves="_leaves_: [narrower]"))
    write("conf/compression/mine/silent.yaml", text.format(name="silent", method="silent", leaves=""))
    write("conf/compression/mine/masked.yaml", text.format(name="masked", method="masked", leaves="_leaves_: [sparse]"))
    found = [find_known_costs(compose_point(*SMALL_LENET, f"compression={name}")) for name in ("cut", "silent")]
    assert found == [{}, {}]
    assert find_known_costs(compose_point(*SMALL_LENET, "compression=masked")).keys() == STRUCTURE


def test_phases_other_than_those_of_the_method_s_yaml_are_not_vouched_for_by_it() -> None:
    point = compose_point(*SMALL_LENET, "compression=magnitude")
    point.config["compression"][0]["phases"] = [{"decider": "filter_l1"}]
    assert find_known_costs(point) == {}


def test_bytes_that_depend_on_what_is_not_in_the_config_are_not_known() -> None:
    point = compose_point(*SMALL_LENET)
    point.config["dataset"] |= {"mean": None, "std": None}
    assert find_known_costs(point).keys() == DENSE - {"file_bytes"}
    point = compose_point(*SMALL_LENET)
    point.config["architecture"]["weights"] = "0123456789ab"
    assert find_known_costs(point).keys() == DENSE - {"file_bytes"}


def test_of_adopted_weights_all_is_known_but_the_bytes_of_their_file(call: Call, here: Path) -> None:
    torch.manual_seed(0)
    architecture = compose_point(*SMALL_MLP).config["architecture"]
    save_file(factory.build_architecture(architecture).state_dict(), "net.safetensors")
    code, out, error = call("adopt", "net.safetensors", *SMALL_MLP, "--json")
    assert code == 0, error
    weights = f"architecture.weights={json.loads(out)['adopted']['signature']}"
    for line in ((*SMALL_MLP, weights), (*SMALL_MLP, weights, "compression=xz")):
        known = find_known_costs(compose_point(*line))
        measures = score(Path("outputs/store"), *line)
        assert known == {name: measures[name] for name in known}
        assert known.keys() >= STRUCTURE


def test_a_seed_or_a_recipe_changes_no_cost() -> None:
    plain = find_known_costs(compose_point(*SMALL_LENET))
    other = find_known_costs(compose_point(*SMALL_LENET, "seed=3", "recipe=adamw", "recipe.lr=0.01"))
    assert plain == other
