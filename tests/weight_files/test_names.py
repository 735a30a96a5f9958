"""Names under wrappers, tensors beside the network, and tensors by their order; of which network they are."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from convarium.architectures import factory
from convarium.architectures.weights import Weights, fingerprint_tensors
from convarium.errors import UserError
from convarium.weight_files.architecture_index import suggest_architecture
from convarium.weight_files.match_weights import MisfitError, match_weights

Tensors = dict[str, Tensor]


class Small(nn.Module):
    """A network with batch norm and a classifier."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.body = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))
        self.fc = nn.Linear(8, classes)


@pytest.fixture
def tensors() -> Tensors:
    torch.manual_seed(0)
    return dict(Small().state_dict())


def fit(tensors: Tensors, **how: bool) -> Weights:
    return match_weights(Weights(tensors), Small(), "net.pth", **how)


def refused(action: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def prefixed(tensors: Tensors, prefix: str) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.backbone.", "a.b.c.d."]
)
def test_a_prefix_of_all_names_is_taken_off(tensors: Tensors, prefix: str) -> None:
    assert fingerprint_tensors(fit(prefixed(tensors, prefix)).tensors) == fingerprint_tensors(tensors)


@pytest.mark.parametrize("part", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_module"])
def test_what_wrappers_put_inside_names_is_taken_out(tensors: Tensors, part: str) -> None:
    wrapped = {name.replace("body.", f"body.{part}."): tensor for name, tensor in prefixed(tensors, "model.").items()}
    assert fingerprint_tensors(fit(wrapped).tensors) == fingerprint_tensors(tensors)


BESIDE: dict[str, Tensor] = {
    "class_weight": torch.ones(10), "criterion.weight": torch.ones(10), "n_averaged": torch.tensor(3),
    "normalise.mean": torch.zeros(1, 3, 1, 1), "aux_classifier.weight": torch.ones(10, 8),
    "body.steps": torch.tensor(3),
}  # fmt: skip


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_lies_beside_the_network_is_left_out_and_named(tensors: Tensors, beside: str, prefix: str) -> None:
    found = fit({beside: BESIDE[beside], **prefixed(tensors, prefix)})
    assert fingerprint_tensors(found.tensors) == fingerprint_tensors(tensors)
    assert found.notes[-1] == f"1 tensor beside the network is left out ({beside})"


def test_counters_of_a_profiler_are_left_out_wherever_they_are(tensors: Tensors) -> None:
    counters = {
        f"{layer}.{leaf}": torch.zeros(1) for layer in ("conv", "body.0") for leaf in ("total_ops", "total_params")
    }
    for how in ({}, {"by_order": True}):
        found = fit({**counters, **tensors, "total_ops": torch.zeros(1)}, **how)
        assert fingerprint_tensors(found.tensors) == fingerprint_tensors(tensors)
        assert found.notes[-1].startswith("5 tensors beside the network are left out (conv.total_ops, ")


def test_one_more_layer_is_another_network(tensors: Tensors) -> None:
    assert "1 unexpected (body.2.weight)" in refused(lambda: fit({**tensors, "body.2.weight": torch.ones(8)}))
    assert "1 unexpected (conv2.weight)" in refused(lambda: fit({**tensors, "conv2.weight": torch.ones(8, 8)}))


def test_of_several_networks_the_usual_one_is_taken_or_none(tensors: Tensors) -> None:
    halved = {name: tensor / 2 for name, tensor in tensors.items()}
    found = fit(prefixed(halved, "ema.") | prefixed(tensors, "model."))
    assert torch.equal(found.tensors["fc.weight"], tensors["fc.weight"])
    said = refused(lambda: fit(prefixed(halved, "a.") | prefixed(tensors, "b.")))
    assert said.endswith("holds this network 2 times (a., b.): choose one by --from a or --from b")


def test_a_network_is_the_same_without_counters_of_batches(tensors: Tensors) -> None:
    old = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    assert fingerprint_tensors(fit(old).tensors) == fingerprint_tensors(tensors)
    renamed = {f"layer{place}": tensor for place, tensor in enumerate(old.values())}
    assert fingerprint_tensors(fit(renamed, by_order=True).tensors) == fingerprint_tensors(tensors)


def test_order_and_a_fresh_classifier_go_together(tensors: Tensors) -> None:
    other = {f"layers.{place}.w": tensor for place, tensor in enumerate(tensors.values())}
    names = list(other)
    other |= {names[-2]: torch.ones(7, 8), names[-1]: torch.ones(7)}
    said = refused(lambda: fit(other))
    assert said.endswith("order and shapes are the network's but for 7 classes: add --by-order --new-head")
    assert "missing" not in said
    assert fit(other, by_order=True, new_head=True).fresh_names == ("fc.weight", "fc.bias")
    body = {name: other[name] for name in names[:-2]}
    assert fit(body, by_order=True, new_head=True).fresh_names == ("fc.weight", "fc.bias")
    two_layers = body | {"head.0": torch.ones(5, 8), "head.1": torch.ones(5), "head.2": torch.ones(7, 5)}
    found = fit(two_layers, by_order=True, new_head=True)
    assert found.fresh_names == ("fc.weight", "fc.bias")
    assert found.notes[-1] == "3 tensors beside the network are left out (head.0, head.1, head.2)"


def test_a_classifier_of_another_name_is_taken_by_order_or_replaced(tensors: Tensors) -> None:
    backbone = {name: tensor for name, tensor in prefixed(tensors, "backbone.").items() if ".fc." not in name}
    file = {**backbone, "my_head.weight": tensors["fc.weight"], "my_head.bias": tensors["fc.bias"]}
    assert "(my_head.weight is fc.weight here)" in refused(lambda: fit(file))
    assert fingerprint_tensors(fit(file, by_order=True).tensors) == fingerprint_tensors(tensors)
    assert fit(file, new_head=True).fresh_names == ("fc.weight", "fc.bias")


def test_what_is_sorted_has_no_order(tensors: Tensors) -> None:
    other = {f"x.{name}": tensors[name] for name in sorted(tensors)}
    renamed = {name.replace("fc", "linear"): tensor for name, tensor in other.items()}
    assert "its names are sorted, as safetensors sorts them" in refused(lambda: fit(renamed, by_order=True))


def test_a_misfit_never_says_both_that_names_are_missing_and_that_all_fits(tensors: Tensors) -> None:
    other = {f"layers.{place}.w": tensor for place, tensor in enumerate(tensors.values())}
    with pytest.raises(MisfitError) as caught:
        fit(other)
    assert str(caught.value) == (
        "net.pth does not fit: its names are others (layers.0.w is conv.weight here);"
        " their order and shapes are the network's: add --by-order to go by it"
    )


def test_the_index_tells_the_network_by_names_and_shapes() -> None:
    with torch.device("meta"):
        tensors = models.resnet18(num_classes=7).state_dict()
    wrapped = {f"module.{name}": tensor for name, tensor in tensors.items()} | {"class_weight": torch.ones(7)}
    said = suggest_architecture(wrapped)
    assert said is not None
    assert said.startswith("its names and shapes are those of architecture=")
    assert "architecture=torchvision architecture.name=resnet18" in said
    assert suggest_architecture(wrapped, {"resnet18"}) is None
    ordered = {f"layers.{place}": tensor for place, tensor in enumerate(tensors.values()) if tensor.dim()}
    said = suggest_architecture(ordered)
    assert said is not None
    assert said.startswith("its shapes, in order, are those of architecture=")
    assert suggest_architecture({"a": torch.ones(3, 3)}) is None


def test_the_index_knows_a_network_of_ours_as_it_is_built() -> None:
    mlp = {
        "source": "own", "name": "mlp", "in_chans": 1, "num_classes": 4, "img_size": 8, "stem": "native",
        "kwargs": {"hidden": [16], "activation": "relu"},
    }  # fmt: skip
    said = suggest_architecture(factory.build_architecture(mlp, "meta").state_dict())
    assert said is not None
    assert said.startswith("its names are those of architecture=mlp, the shapes of some tensors are others")
