"""What an outside package owes: whoever breaks it reads one line, exit code 2."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_lines import HERE
from convarium.cli import main

TINY = ("architecture=mlp", "dataset=digits", "dataset.train_size=9", "recipe.epochs=1")
MODULE = """
import torch
from torch import nn
from convarium.architectures.builder import Builder
from convarium.compression.deciders.interface import Decision
from convarium.representations.dense import Dense
from convarium.datasets.splits import RawImages

def nothing(view):
    return None

def tensors(view):
    return {site.name: view.weights[site.name] for site in view.sites}

def strange_edit(view):
    return Decision(edits=[{"op": "explode"}])

class Rounded(Dense):
    kind = "breaking:Rounded"
    def encode(self, tensors, stream):
        stream.write_values("weights", tensors[0].round())

class Longer(Dense):
    kind = "breaking:Longer"
    def encode(self, tensors, stream):
        super().encode(tensors, stream)
        stream.data += b"more"

class Unnamed(Dense):
    kind = "breaking:Another"

class Imported(Dense):
    kind = "stranger:Imported"

def rounded(view):
    return {site.name: Rounded(site.shape).project(view.weights[site.name]) for site in view.sites}

def longer(view):
    return {site.name: Longer(site.shape).project(view.weights[site.name]) for site in view.sites}

def unnamed(view):
    return {site.name: Unnamed(site.shape).project(view.weights[site.name]) for site in view.sites}

def imported(view):
    return {site.name: Imported(site.shape).project(view.weights[site.name]) for site in view.sites}

def floats(dataset, root, parts):
    return {part: RawImages(torch.zeros(9, 8, 8), torch.zeros(9, dtype=torch.int64)) for part in parts}

def many(dataset, root, parts):
    return {part: RawImages(torch.zeros(9, 1, 8, 8, dtype=torch.uint8), torch.arange(9) + 7) for part in parts}

def few(dataset, root, parts):
    return {}

TEXT = Builder(lambda *sizes: "no network", {})
BUG = Builder(lambda *sizes: 1 / 0, {})
FUNCTION = lambda *sizes: nn.Linear(1, 1)
"""
METHOD = """# @package compression.broken
method: pruning/broken
version: 1
phases: [{{decider: '{}'}}]
sites: ['*']
_check_: {{sites: list}}
"""
NETWORK = """source: own
name: '{}'
in_chans: null
num_classes: null
img_size: null
stem: native
weights: null
kwargs: {{}}
"""
IMAGES = """name: '{}'
channels: 1
classes: 10
native_size: 8
img_size: null
train_size: null
mean: null
std: null
fingerprint: null
root: null
"""


@pytest.fixture
def run_broken(write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Run with an option file that names code of a module in the current folder; return the line."""

    def run(option: str, template: str, name: str, *line: str) -> str:
        write("breaking.py", MODULE)
        write(f"conf/{option}.yaml", template.format(name))
        code = main(["run", *TINY, *line, *HERE])
        errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith(("convarium: ", "failed"))]
        assert code == 2, errors
        (error,) = errors
        return error

    yield run
    sys.modules.pop("breaking", None)


@pytest.mark.parametrize(
    ("decider", "expected"),
    [
        ("breaking:nothing", "breaking:nothing returned NoneType, expected a Decision or {name: Representation}"),
        ("breaking:tensors", "returned a representation for 'fc1.weight' that is Tensor, expected Representation"),
        ("breaking:strange_edit", "surgery: no edit is called 'explode'"),
        ("breaking:rounded", "site fc1.weight: representation breaking:Rounded does not round trip: other values come"),
        ("breaking:longer", "breaking:Longer does not round trip: 4 bytes are left over"),
        ("breaking:unnamed", "breaking:Another does not round trip: 'breaking:Another': module breaking has no"),
        ("breaking:imported", "does not round trip: stranger:Imported: package stranger is not allowed here"),
        ("breaking:no_such", "'breaking:no_such': module breaking has no attribute 'no_such'"),
        ("no_such_package:mine", "compression.deciders has no 'no_such_package:mine'"),
    ],
)
def test_a_decider(decider: str, expected: str, run_broken: Callable[..., str]) -> None:
    assert expected in run_broken("compression/pruning/broken", METHOD, decider, "compression=broken")


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        ("breaking:TEXT", "architecture breaking:TEXT is str, its builder must return a torch.nn.Module"),
        ("breaking:BUG", "architecture breaking:BUG can't be built so: division by zero"),
        ("breaking:FUNCTION", "is not a convarium.architectures.builder.Builder"),
        ("no_such_package:NET", "architectures has no 'no_such_package:NET'"),
    ],
)
def test_an_architecture(builder: str, expected: str, run_broken: Callable[..., str]) -> None:
    assert expected in run_broken("architecture/broken", NETWORK, builder, "architecture=broken")


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        ("breaking:floats", "train has images float32 (9, 8, 8), expected uint8 (N, channels, side, side)"),
        ("breaking:many", "train has labels 7..15, expected 0..9 (dataset.classes=10)"),
        ("breaking:few", "its reader must return a mapping with train, validation"),
        ("no_such_package:read", "datasets has no 'no_such_package:read'"),
    ],
)
def test_a_dataset(reader: str, expected: str, run_broken: Callable[..., str]) -> None:
    assert expected in run_broken("dataset/broken", IMAGES, reader, "dataset=broken")
