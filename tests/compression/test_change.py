"""What a decider decides is carried out in order, and refused in one line where it does not fit."""

import pytest
import torch
from torch import nn

from convarium.compression import change, edits, host
from convarium.compression.deciders.view import Decision
from convarium.compression.representations.shared import Shared
from convarium.compression.representations.sparse import Sparse
from convarium.errors import UserError


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def test_values_take_the_place_of_tensors_and_of_what_they_were_represented_by() -> None:
    net = network()
    host.attach(net, {"0.weight": Sparse.at(torch.arange(5), net[0].weight)})
    change.carry_out(net, Decision(values={"0.weight": torch.ones(4, 6), "2.bias": torch.zeros(3)}))
    assert host.represented(net) == {}
    assert net[0].weight.sum() == 24
    assert not net[2].bias.any()


@pytest.mark.parametrize("shared", [False, True])
def test_a_form_is_kept_for_other_values_of_its_kind(shared: bool) -> None:
    dense = torch.tensor([[0.0, 2.0, 0.0], [2.0, 0.0, -1.0]])
    inner = Shared.of(torch.tensor([-1.0, 2.0]), torch.tensor([1, 1, 0])) if shared else None
    positions = torch.tensor([1, 3, 5])
    form = Sparse.of(positions, (2, 3), inner) if inner else Sparse.at(positions, dense)
    smaller = dense[:, 1:]
    found = form.like(smaller, form.stored)
    assert torch.equal(found.materialised(), smaller)
    assert found.spec()["inner"]["kind"] == ("shared" if shared else "dense")


@pytest.mark.parametrize(
    ("surgery", "said"),
    [
        ({}, "not a list"),
        ([{"op": "__import__"}], "no edit is called '__import__'"),
        ([{"op": "os.system"}], "is not an edit"),
        ([{}], "is not an edit"),
        ([["resize"]], "is not an edit"),
        ([{"op": "resize"}] * 1001, "at most 1000"),
    ],
)
def test_a_stranger_s_surgery_is_refused(surgery: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        edits.check(surgery)
