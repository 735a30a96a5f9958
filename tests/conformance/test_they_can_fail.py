"""A noun that breaks its contract does not pass its suite."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.coding.coder import Numbers
from convarium.coding.site_streams import CODERS, SiteWriter
from convarium.compose.hydra_adapter import Composer
from convarium.compression.deciders.interface import Decision
from convarium.config.search_path import list_search_folders
from convarium.conformance import (
    ArchitectureSuite,
    CoderSuite,
    DatasetSuite,
    EditSuite,
    MethodSuite,
    RepresentationSuite,
    SpaceSuite,
)
from convarium.conformance.architecture import build_seeded_network
from convarium.conformance.coder import generate_position_cases, generate_symbol_cases
from convarium.conformance.edit import EditCase, EditedNetwork
from convarium.conformance.tensor_comparison import compute_logits
from convarium.representations.dense import Dense
from convarium.search.choosers import Chooser
from convarium.search.configured_space import SearchLine
from convarium.search.function_space import FunctionSpace

MODULE = """
import numpy as np
import torch
from torch import nn
from convarium.architectures.builder import Builder
from convarium.representations.sparse import Sparse
from convarium.datasets.packaged_tables import slice_parts
from convarium.datasets.splits import RawImages

def chance(view):
    return {site.name: Sparse.from_dense(torch.randperm(view.weights[site.name].numel())[:5], view.weights[site.name])
            for site in view.sites}

class Idle(nn.Module):
    def __init__(self, in_chans, num_classes, img_size):
        super().__init__()
        self.used, self.idle = nn.Linear(in_chans * img_size**2, num_classes), nn.Linear(3, 3)
    def forward(self, images):
        return self.used(images.flatten(1))

IDLE = Builder(Idle, {})

def shuffled(dataset, root, parts):
    images = torch.arange(120 * 16).remainder(251).to(torch.uint8).reshape(120, 1, 4, 4)
    pixels = RawImages(images, torch.arange(120) % 2)
    return slice_parts(pixels, np.random.permutation(120), {"test": 20, "validation": 20, "train": 80})
"""
CONF = {
    "compression/pruning/chance": """# @package compression.chance
method: pruning/chance
version: 1
phases: [{decider: 'failing:chance'}]
sites: ['*']
_check_: {sites: list}
""",
    "compression/pruning/sly": """# @package compression.sly
method: pruning/sly
version: 1
phases: [{decider: filter_l1}]
sites: ['*']
channels_removed: 0.5
per_site: {}
scope: layer
rounds: 1
_check_: {sites: list, channels_removed: 0..1, per_site: dict, rounds: 1..}
_leaves_: [sparse]
""",
    "architecture/idle": "{source: own, name: 'failing:IDLE', in_chans: null, num_classes: null, img_size: null,"
    " stem: native, weights: null, kwargs: {}}",
    "dataset/shuffled": "{name: 'failing:shuffled', channels: 1, classes: 2, native_size: 4, img_size: null,"
    " train_size: null, mean: null, std: null, fingerprint: null, root: null}",
}


@pytest.fixture
def _faulty_package(write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Options and a module of the user's own, each with a fault."""
    monkeypatch.syspath_prepend(write("failing.py", MODULE).parent)
    for name, text in CONF.items():
        write(f"conf/{name}.yaml", text)
    yield
    sys.modules.pop("failing", None)


class Rounded(Dense):
    def encode(self, tensors: Any, stream: SiteWriter) -> None:
        stream.write_values("weights", tensors[0].round())


class Detached(Dense):
    def forward(self, *tensors: Tensor) -> Tensor:
        return super().forward(*tensors).detach().requires_grad_()


def test_a_representation_that_loses_bits_or_gradients() -> None:
    suite = RepresentationSuite()
    with pytest.raises(AssertionError):
        suite.test_decoding_gives_back_every_bit(lambda dense: Rounded(dense.shape).project(dense), (3, 4), "fixed")
    with pytest.raises(AssertionError):
        suite.test_gradients_reach_every_stored_tensor(lambda dense: Detached(dense.shape).project(dense))


class Greedy(type(CODERS["fixed"])):  # type: ignore[misc]
    def decode_symbols(self, data: memoryview, *arguments: Any) -> tuple[Numbers, int]:
        symbols, _ = super().decode_symbols(data, *arguments)
        return symbols, len(data)

    def decode_positions(self, data: memoryview, *arguments: Any) -> tuple[Numbers, int]:
        positions, byte_count = super().decode_positions(bytes(data) + bytes(99), *arguments)
        return positions, min(byte_count, len(data))


def test_a_coder_that_takes_the_bytes_of_others_or_reads_behind_the_end() -> None:
    greedy = Greedy(*vars(CODERS["fixed"]).values())
    with pytest.raises(AssertionError):
        CoderSuite().test_numbers_come_back_and_their_own_bytes_are_taken(greedy, generate_symbol_cases)
    with pytest.raises(pytest.fail.Exception):
        CoderSuite().test_truncated_bytes_are_refused(greedy, generate_position_cases)


def test_an_edit_that_is_not_exact() -> None:
    architecture_config = {
        "source": "own", "name": "lenet5", "in_chans": 1, "num_classes": 10, "img_size": 16, "stem": "native",
        "kwargs": {},
    }  # fmt: skip
    network = build_seeded_network(architecture_config)
    logits_before = compute_logits(network, (1, 16, 16))
    nn.init.normal_(network.fc2.bias)
    case = EditCase(lambda network: Decision(), exact=True)
    with pytest.raises(AssertionError):
        EditSuite().test_an_exact_edit_changes_no_answer(
            case, EditedNetwork(architecture_config, network, [], logits_before)
        )


@pytest.mark.usefixtures("_faulty_package")
def test_a_method_that_draws_from_torch_s_own_stream() -> None:
    class Chance(MethodSuite):
        method = "pruning/chance"

    torch.manual_seed(0)
    with pytest.raises(AssertionError):
        Chance().test_the_same_seed_gives_the_same_bytes(Chance.networks["lenet5"])


@pytest.mark.usefixtures("_faulty_package")
def test_a_method_that_cuts_filters_and_says_that_it_prunes_weights() -> None:
    class Sly(MethodSuite):
        method = "pruning/sly"

    with pytest.raises(AssertionError):
        Sly().test_costs_that_are_known_before_training_are_those_of_the_file(Sly.networks["lenet5"])


@pytest.mark.usefixtures("_faulty_package")
def test_an_architecture_with_a_parameter_that_nothing_uses() -> None:
    architecture_config = {
        "source": "own", "name": "failing:IDLE", "in_chans": 1, "num_classes": 3, "img_size": 4, "stem": "native",
        "kwargs": {},
    }  # fmt: skip
    with pytest.raises(AssertionError):
        ArchitectureSuite().test_every_parameter_gets_a_gradient(architecture_config)


@pytest.mark.usefixtures("_faulty_package")
def test_a_dataset_that_is_split_anew_every_time() -> None:
    from convarium.compose.points import compose_points
    from convarium.conformance.dataset import load_parts

    config = compose_points(["dataset=shuffled", "architecture=mlp"]).check_points()[0].config["dataset"]
    with pytest.raises(AssertionError):
        DatasetSuite().test_splits_are_the_same_every_time(config, load_parts(config))


class Wide(SpaceSuite):
    space = "typed"
    overrides = ("compression=none,magnitude,[magnitude,kmeans]", "recipe.schedule=cosine,one_cycle")
    size = 5
    samples = 20


def test_a_space_with_points_that_can_t_be_composed_or_of_another_size(here: Path) -> None:
    composer = Composer(list_search_folders("conf"))
    line = Wide()._build_line(composer)
    with pytest.raises(AssertionError, match="one_cycle"):
        Wide().test_every_trial_at_random_is_a_valid_point(composer, line)
    with pytest.raises(AssertionError):
        Wide().test_it_has_as_many_trials_as_it_says(line)


def test_a_space_that_answers_otherwise_each_time(here: Path) -> None:
    answers = iter(range(10**6))

    def drifting(choose: Chooser) -> dict[str, Any]:
        return {"recipe.epochs": choose.whole("epochs", 1, 9) + next(answers)}

    line = SearchLine(FunctionSpace("drifting", drifting, {}), (), (0,))
    with pytest.raises(AssertionError):
        SpaceSuite().test_the_same_answers_give_the_same_trial(line)
