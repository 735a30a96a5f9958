"""What a decider decides is carried out in order, and refused in one line where it does not fit."""

import pytest
import torch
from torch import nn

from convarium import edits
from convarium.compression import decisions
from convarium.compression.deciders.interface import Decision
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def test_values_take_the_place_of_tensors_and_of_what_they_were_represented_by() -> None:
    net = network()
    parametrization.attach_representations(net, {"0.weight": Sparse.from_dense(torch.arange(5), net[0].weight)})
    decisions.apply_decision(net, Decision(values={"0.weight": torch.ones(4, 6), "2.bias": torch.zeros(3)}))
    assert parametrization.collect_representations(net) == {}
    assert net[0].weight.sum() == 24
    assert not net[2].bias.any()


@pytest.mark.parametrize("shared", [False, True])
def test_a_form_is_kept_for_other_values_of_its_kind(shared: bool) -> None:
    dense = torch.tensor([[0.0, 2.0, 0.0], [2.0, 0.0, -1.0]])
    inner = Shared.from_codebook(torch.tensor([-1.0, 2.0]), torch.tensor([1, 1, 0])) if shared else None
    positions = torch.tensor([1, 3, 5])
    form = Sparse.from_positions(positions, (2, 3), inner) if inner else Sparse.from_dense(positions, dense)
    smaller = dense[:, 1:]
    rebuilt = form.rebuild(smaller, form.stored_tensors)
    assert torch.equal(rebuilt.materialise(), smaller)
    assert rebuilt.to_spec()["inner"]["kind"] == ("shared" if shared else "dense")


@pytest.mark.parametrize(
    ("surgery", "said"),
    [
        ({}, "not a list"),
        ([{"op": "__import__"}], "no edit is called '__import__'"),
        ([{"op": "__init__"}], "no edit is called '__init__'"),
        ([{"op": "os.system"}], "is not an edit"),
        ([{}], "is not an edit"),
        ([["resize"]], "is not an edit"),
        ([{"op": "resize"}] * 1001, "at most 1000"),
    ],
)
def test_a_stranger_s_surgery_is_refused(surgery: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        edits.check_surgery(surgery)
