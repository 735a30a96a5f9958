"""Weights whose classes are in another order than the dataset's score below chance; that is told with the remedy."""

import json
from pathlib import Path

import pytest
import torch

from command_lines import MLP_ON_FOLDER, Call
from convarium.cli.below_chance import is_below_chance
from convarium.weight_files.read_weights import read_weights
from real_images import write_digit_folder

SIZE = (
    *MLP_ON_FOLDER, "architecture.kwargs.hidden=[16]", "recipe.epochs=30", "recipe.batch_size=16",
    "recipe.warmup_epochs=0",
)  # fmt: skip
BASIC = "hydra/launcher=basic"
SAID = "the classes of the dataset may be in another order than the weights'; dataset.class_names=FILE gives theirs"


@pytest.mark.parametrize(
    ("right", "images", "classes", "told"),
    [
        (0, 40, 2, True), (9, 40, 2, True), (14, 40, 2, False), (20, 40, 2, False), (0, 5, 2, False),
        (0, 100, 10, True), (0, 40, 10, False), (0, 500, 1000, False), (300, 10_000, 10, True),
        (990, 10_000, 10, False), (0, 50_000, 1000, True), (5, 9, 1, False),
    ],
)  # fmt: skip
def test_what_chance_explains_is_not_told(right: int, images: int, classes: int, told: bool) -> None:
    assert is_below_chance(right, images, classes) is told


@pytest.fixture
def weights(here: Path, call: Call) -> Path:
    """A trained network's weights, whose two outputs are then exchanged, in a checkpoint with the right ones beside."""
    write_digit_folder(here / "mine", {"nought": 60, "one": 60})
    code, out, error = call("run", "--json", *SIZE, BASIC)
    (run,) = json.loads(out)["runs"]
    assert (code, run["metrics"]["accuracy"]) == (0, 1.0), error
    own = read_weights(Path(run["path"]) / "network.cvm").tensors
    names = list(own)[-2:]
    exchanged = {name: tensor.flip(0) if name in names else tensor for name, tensor in own.items()}
    torch.save({"state_dict": exchanged, "state_dict_ema": own}, "net.pth")
    return here / "net.pth"


def test_classes_in_another_order_are_told_once_and_mended_by_names(weights: Path, here: Path, call: Call) -> None:
    code, out, error = call("adopt", weights.name, "--json", *SIZE)
    adopted = json.loads(out)
    assert (code, adopted["runs"][0]["metrics"]["accuracy"]) == (0, 0.0)
    signature = adopted["adopted"]["signature"]
    line = f"adopted weights {signature} are right for 0.0% of 24 test images, chance alone gives 50.0%: {SAID}\n"
    assert error.count(line) == 1
    code, _, error = call("run", *SIZE, BASIC, f"architecture.weights={signature}", "seed=0,1")
    assert (code, error.count(line)) == (0, 1)
    (here / "names.txt").write_text("one\nnought\n")
    code, out, error = call("adopt", weights.name, "--json", *SIZE, "dataset.class_names=names.txt")
    assert (code, json.loads(out)["runs"][0]["metrics"]["accuracy"]) == (0, 1.0)
    assert "adopted weights" not in error


def test_another_state_dict_of_the_file_is_taken_by_its_key(weights: Path, call: Call) -> None:
    code, out, error = call("adopt", weights.name, *SIZE, "--from", "state_dict_ema")
    assert (code, "adopted weights" in error) == (0, False)
    assert "taken from 'state_dict_ema'" in out
    code, out, error = call("adopt", weights.name, *SIZE, "--from", "ema")
    assert (code, out) == (2, "")
    assert "--from ema: net.pth holds no tensors there but at state_dict, state_dict_ema: choose one by" in error
    code, _, error = call("adopt", "pretrained", *SIZE, "--from", "ema")
    assert (code, "--from ema chooses in a torch checkpoint" in error) == (2, True)


def test_a_fresh_head_is_left_alone(weights: Path, call: Call) -> None:
    own = torch.load(weights, weights_only=True)["state_dict"]
    names = list(own)[-2:]
    torch.save({name: torch.cat([one, one]) if name in names else one for name, one in own.items()}, weights)
    code, _, error = call("adopt", weights.name, *SIZE, "--new-head")
    assert (code, "adopted weights" in error) == (0, False)
