"""Weights from outside for a network that condenses while it is trained are those of what is delivered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from command_lines import SMALL_CONDENSENET
from convarium.architectures import factory
from convarium.compose.points import compose_points
from convarium.cvm import container
from convarium.errors import UserError


def test_adopted_weights_are_those_of_the_delivered_network(here: Path, call: Callable[..., Any]) -> None:
    described = compose_points(SMALL_CONDENSENET).check_points()[0].config["architecture"]
    torch.manual_seed(0)
    tensors = factory.build_architecture(factory.condense_architecture(described)).state_dict()
    save_file(tensors, "net.safetensors")
    code, out, error = call("adopt", "net.safetensors", *SMALL_CONDENSENET, "--json")
    assert code == 0, error
    (run,) = json.loads(out)["runs"]
    file = container.read_cvm(Path(run["path"], "network.cvm"))
    assert file.header["architecture"] == factory.condense_architecture(described)
    found = container.materialise_network(file).state_dict()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    weights = f"architecture.weights={json.loads(out)['adopted']['signature']}"
    with pytest.raises(UserError, match=r"was adopted for architecture\.kwargs=.*grouped"):
        compose_points([*SMALL_CONDENSENET, weights]).check_points()
    assert compose_points([*SMALL_CONDENSENET, weights, "architecture.kwargs.form=grouped"]).check_points()
