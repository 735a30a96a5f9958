"""The smallest network of each family is pruned, shared and factored into a smaller file, or refused in one line."""

import pytest
import torch

from convarium.conformance.compressible import METHODS, tried
from convarium.conformance.small import small_form

WORKS = (
    "basic/lenet5_1998", "basic/lenet5_modern", "cross_layer/resnet20", "cross_layer/wrn_16_1", "splitting/nin_cifar",
)  # fmt: skip
LARGER = ("depthwise/mobilenet_v2", "depthwise/mobilenet_v3_small", "transformer/mobilevit_xxs", "cross_layer/resnet18")
REFUSED = {
    ("depthwise/shufflenet_v1_g3", "pruning/filter_l1"): "nothing can be cut",
    ("depthwise/shufflenet_v2_x05", "pruning/filter_l1"): "its channels can't be followed from layer to layer",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("option", [*WORKS, *(pytest.param(option, marks=pytest.mark.nightly) for option in LARGER)])
def test_a_method_makes_a_smaller_file_of_the_same_logits(option: str, method: str) -> None:
    torch.set_num_threads(1)
    found = tried(small_form(option), method)
    assert found.refused is None
    assert found.decoded
    assert found.bytes < 1
    assert found.macs <= 1


@pytest.mark.parametrize(("option", "method"), REFUSED)
def test_what_can_t_be_is_refused_in_one_line(option: str, method: str) -> None:
    found = tried(small_form(option), method)
    assert found.refused is not None
    assert REFUSED[option, method] in found.refused
    assert "\n" not in found.refused
