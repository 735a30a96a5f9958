"""One layer becomes two plain ones."""

from typing import Any

import pytest
import torch
from torch import nn

from convarium import edits
from convarium.edits import factor
from convarium.errors import UserError


@pytest.mark.parametrize("form", ["channel", "spatial"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_both_layers_are_plain_and_take_and_give_what_the_one_did(form: str, device: str) -> None:
    layers = nn.Sequential(nn.Conv2d(4, 8, (3, 5), stride=(2, 1), padding=(1, 2)), nn.Linear(9, 7, bias=False)).to(
        device
    )
    images = torch.zeros(2, 4, 11, 9, device=device)
    before = layers[0](images).shape
    edit = {"op": "factor", "form": form, "ranks": {"0": 3, "1": 2}}
    edits.check_surgery([edit])
    edits.apply_surgery(layers, [edit])
    assert layers[0](images).shape == before
    assert [type(layer) for pair in layers for layer in pair] == [nn.Conv2d, nn.Conv2d, nn.Linear, nn.Linear]
    assert [layer.bias is not None for pair in layers for layer in pair] == [False, True, False, False]
    assert all(parameter.device.type == device for parameter in layers.parameters())


def test_the_random_state_is_left_alone() -> None:
    layers = nn.Sequential(nn.Linear(9, 7))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    factor.apply_edit(layers, {"op": "factor", "form": "channel", "ranks": {"0": 2}})
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    "edit",
    [
        {"op": "factor", "form": "channel"},
        {"op": "factor", "form": "cp", "ranks": {}},
        {"op": "factor", "form": ["channel"], "ranks": {}},
        {"op": "factor", "form": "channel", "ranks": {"0": 0}},
        {"op": "factor", "form": "channel", "ranks": {"0": 1 << 21}},
        {"op": "factor", "form": "channel", "ranks": {"0": True}},
        {"op": "factor", "form": "channel", "ranks": {"": 1}},
        {"op": "factor", "form": "channel", "ranks": [1]},
    ],
)
def test_a_stranger_s_record_is_refused(edit: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="surgery"):
        edits.check_surgery([edit])


@pytest.mark.parametrize(
    ("name", "told"), [("7", "no layer '7'"), ("1", "can't be factored"), ("2", "can't be factored")]
)
def test_a_layer_that_has_no_such_form_is_refused(name: str, told: str) -> None:
    layers = nn.Sequential(nn.Linear(2, 2), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU())
    with pytest.raises(UserError, match=told):
        factor.apply_edit(layers, {"op": "factor", "form": "channel", "ranks": {name: 1}})
