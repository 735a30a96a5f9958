"""The smallest network of each family is pruned, shared and factored into a smaller file, or refused in one line."""

import pytest

from convarium.conformance.compression_trial import TRIED_METHODS, try_compression
from convarium.conformance.small_architectures import describe_small_form

WORKS = (
    "basic/lenet5_1998", "basic/lenet5_modern", "cross_layer/resnet20", "cross_layer/wrn_16_1", "splitting/nin_cifar",
)  # fmt: skip
LARGER = ("depthwise/mobilenet_v2", "depthwise/mobilenet_v3_small", "transformer/mobilevit_xxs", "cross_layer/resnet18")
REFUSED = {
    ("depthwise/shufflenet_v1_g3", "pruning/filter_l1"): "nothing can be cut",
    ("depthwise/shufflenet_v2_x05", "pruning/filter_l1"): "its channels can't be followed from layer to layer",
}


@pytest.mark.parametrize("method", TRIED_METHODS)
@pytest.mark.parametrize("option", [*WORKS, *(pytest.param(option, marks=pytest.mark.nightly) for option in LARGER)])
def test_a_method_makes_a_smaller_file_of_the_same_logits(option: str, method: str) -> None:
    trial = try_compression(describe_small_form(option), method)
    assert trial.refusal is None
    assert trial.decodes_exactly
    assert trial.bytes_share < 1
    assert trial.macs_share <= 1


@pytest.mark.parametrize(("option", "method"), REFUSED)
def test_what_can_t_be_is_refused_in_one_line(option: str, method: str) -> None:
    trial = try_compression(describe_small_form(option), method)
    assert trial.refusal is not None
    assert REFUSED[option, method] in trial.refusal
    assert "\n" not in trial.refusal
