"""Our edits pass the suite for outside ones."""

import torch
from torch import nn

from convarium.compression.deciders.interface import Decision
from convarium.conformance import EditSuite
from convarium.conformance.edit import EditCase, generate_bad_edits


def narrow_conv1(network: nn.Module) -> Decision:
    """Keep the first 12 filters of conv1 and those inputs of conv2."""
    weights = dict(network.state_dict())
    values = {
        "conv1.weight": weights["conv1.weight"][:12],
        "conv1.bias": weights["conv1.bias"][:12],
        "conv2.weight": weights["conv2.weight"][:, :12],
    }
    edit = {"op": "resize", "layers": {"conv1": [1, 12], "conv2": [12]}}
    return Decision(edits=[edit], values={name: value.clone() for name, value in values.items()})


def widen_fc1(network: nn.Module) -> Decision:
    """Give the hidden layer 10 units more that nothing reads."""
    weights = dict(network.state_dict())
    values = {
        "fc1.weight": torch.cat([weights["fc1.weight"], torch.randn(10, weights["fc1.weight"].shape[1])]),
        "fc1.bias": torch.cat([weights["fc1.bias"], torch.randn(10)]),
        "fc2.weight": torch.cat([weights["fc2.weight"], torch.zeros(10, 10)], dim=1),
    }
    edit = {"op": "resize", "layers": {"fc1": [50, 510], "fc2": [510]}}
    return Decision(edits=[edit], values=values)


def build_factor_case(rank: int) -> EditCase:
    """The classifier as two layers of the nearest matrix of a rank; of the full one, exactly."""

    def decide(network: nn.Module) -> Decision:
        weights = dict(network.state_dict())
        left, singular_values, right = torch.linalg.svd(weights["fc2.weight"], full_matrices=False)
        values = {
            "fc2.0.weight": (singular_values[:rank, None] * right[:rank]).contiguous(),
            "fc2.1.weight": left[:, :rank].contiguous(),
            "fc2.1.bias": weights["fc2.bias"].clone(),
        }
        return Decision(edits=[{"op": "factor", "form": "channel", "ranks": {"fc2": rank}}], values=values)

    return EditCase(decide, exact=rank == 10)


def test_a_null_is_no_value_that_a_bad_edit_could_replace() -> None:
    bad_edits = list(generate_bad_edits({"op": "grow", "bias": None, "layers": {"fc1": None}}))
    assert {"op": "grow", "bias": None, "layers": {"fc1": None}, "more": 1} in bad_edits
    assert {"op": "grow", "bias": None, "layers": 3} in bad_edits
    assert all(edit["bias"] is None for edit in bad_edits)


class TestResize(EditSuite):
    cases = {"narrower": EditCase(narrow_conv1), "wider": EditCase(widen_fc1, exact=True)}


class TestFactor(EditSuite):
    cases = {"of the full rank": build_factor_case(10), "of a lower rank": build_factor_case(3)}
