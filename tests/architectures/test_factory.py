"""Building by source and name: what is taken from timm and torchvision, and every kind of wrong description."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from convarium.architectures import factory
from convarium.architectures.dry_run import accepts_image_size, dry_run_architecture
from convarium.conformance.small_architectures import find_architecture_files, read_architecture_file
from convarium.errors import UserError
from convarium.lookup import allow_packages

GOOD: dict[str, Any] = {
    "source": "own", "name": "lenet5", "in_chans": 1, "num_classes": 10, "img_size": 28, "stem": "native", "kwargs": {},
}  # fmt: skip


def side_after_stem(network: nn.Module, layer: str, side: int) -> int:
    seen: list[int] = []
    network.get_submodule(layer).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    network.eval()(torch.zeros(1, 1, side, side))
    return seen[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "lenet6"}, "own has no such network; did you mean 'lenet5'"),
        ({"source": "timm", "name": "resnet10"}, "did you mean 'resnet10t'"),
        ({"source": "torchvision", "name": "resnet17"}, "torchvision has no such network; did you mean"),
        (
            {"source": "timm", "name": "squeezenet1_1"},
            "did you mean architecture=torchvision architecture.name=squeezenet",
        ),
        ({"name": "resnet26t"}, "own has no such network; did you mean architecture=timm architecture.name=resnet26t"),
        ({"source": "timm", "name": "hf-hub:timm/resnet18"}, "timm has no such network"),
        ({"source": "keras"}, "architecture.source='keras': expected one of own, torchvision, timm"),
        ({"name": "os:system"}, "package os is not allowed here"),
        ({"name": "os.path:join"}, "package os is not allowed here"),
        ({"name": "???"}, "architecture.name is missing"),
        ({"name": 5}, "architecture.name is missing"),
        ({"in_chans": 0}, "architecture.in_chans='0': expected a whole number in 1..4096"),
        ({"img_size": True}, "architecture.img_size"),
        ({"num_classes": 10**12}, "architecture.num_classes"),
        ({"num_classes": None}, "architecture.num_classes='None': expected a whole number in 1..1000000"),
        ({"hidden": 3}, "architecture.hidden: unknown key"),
        ({"kwargs": {"depth": 3}}, "architecture.kwargs.depth: lenet5 takes none"),
        ({"kwargs": []}, "architecture.kwargs=.*expected a mapping"),
        ({"name": "mlp", "kwargs": {"hiden": [3]}}, "did you mean 'hidden'"),
        ({"name": "mlp", "kwargs": {"hidden": [0]}}, "expected a list of 0 to 16"),
        ({"name": "mlp", "kwargs": {"hidden": [10**9]}}, "each a whole number in 1..65536"),
        ({"name": "mlp", "kwargs": {"activation": "print"}}, "expected one of relu"),
        (
            {"name": "t2t_vit_14", "kwargs": {"kernels": [64] * 4, "strides": [64] * 4}},
            "^t2t_vit_14 needs images of at least 16777216 pixels a side, dataset.img_size is 28$",
        ),
        ({"stem": "small"}, "architecture.stem=small: lenet5 is made for small images already"),
        (
            {"source": "timm", "name": "resnet10t", "kwargs": {"pretrained": True}},
            "kwargs that timm's networks may take are drop_rate",
        ),
        (
            {"source": "timm", "name": "resnet10t", "kwargs": {"patch_size": 4}},
            "^architecture.kwargs.patch_size: resnet10t does not take patch_size$",
        ),
        (
            {"source": "torchvision", "name": "resnet18", "img_size": 32, "kwargs": {"dropout": 0.5}},
            "^architecture.kwargs.dropout: resnet18 does not take dropout$",
        ),
        ({"source": "timm", "name": "vit_tiny_patch16_224", "stem": "small"}, "has no strided stem convolution"),
        ({"source": "torchvision", "name": "vgg11", "stem": "small"}, "has no strided stem convolution"),
        ({"source": "torchvision", "name": "vit_b_16"}, "vit_b_16 of torchvision can't be built so"),
    ],
)
def test_a_wrong_description_ends_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        factory.build_architecture({**GOOD, **change}, device="meta")
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_take_such_images_is_found_without_memory() -> None:
    alexnet = {**GOOD, "source": "torchvision", "name": "alexnet"}
    told = r"alexnet with images of 1x28x28 fails: the next size that it takes is 63 \(dataset.img_size=63\)"
    with pytest.raises(UserError, match=f"{told}; it takes them with architecture.stem=small$") as caught:
        dry_run_architecture(alexnet)
    assert "\n" not in str(caught.value)
    assert dry_run_architecture({**alexnet, "img_size": 63})
    assert not accepts_image_size(alexnet, 62)


def test_a_description_without_classes_ends_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^architecture.num_classes is missing$"):
        factory.build_architecture({key: value for key, value in GOOD.items() if key != "num_classes"}, "meta")


def test_no_network_of_a_library_reaches_for_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[Any] = []

    def unreachable(*arguments: Any, **_: Any) -> Any:
        reached.append(arguments)
        raise OSError("no network here")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(f"socket.socket.{name}", unreachable)
    for name in ("socket.getaddrinfo", "urllib.request.urlopen", "torch.hub.load_state_dict_from_url"):
        monkeypatch.setattr(name, unreachable)
    built = 0
    for option in find_architecture_files():
        described = {**GOOD, "in_chans": 3, "img_size": 224, **read_architecture_file(option)}
        if described["source"] != "own":
            factory.build_architecture(described, "meta")
            built += 1
    assert built > 50
    assert reached == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("timm", "resnet10t"), ("timm", "mobilenetv3_small_050"), ("timm", "vit_tiny_patch16_224"),
        ("timm", "convnext_atto"), ("torchvision", "resnet18"), ("torchvision", "densenet121"),
        ("torchvision", "googlenet"), ("torchvision", "vit_b_16"),
    ],
)  # fmt: skip
def test_networks_of_others_take_channels_classes_and_size(source: str, name: str) -> None:
    network = dry_run_architecture(
        {**GOOD, "source": source, "name": name, "in_chans": 2, "num_classes": 7, "img_size": 32}
    )
    assert next(p for p in network.parameters() if p.dim() == 4).shape[1] == 2


@pytest.mark.parametrize(("source", "name"), [("timm", "resnet10t"), ("torchvision", "resnet18")])
def test_a_small_stem_keeps_the_resolution_and_the_weights(source: str, name: str) -> None:
    described = {**GOOD, "source": source, "name": name, "img_size": 32}
    native, small = (factory.build_architecture({**described, "stem": stem}) for stem in ("native", "small"))
    assert (side_after_stem(native, "layer1", 32), side_after_stem(small, "layer1", 32)) == (8, 32)
    shapes = [{key: value.shape for key, value in network.state_dict().items()} for network in (native, small)]
    assert shapes[0] == shapes[1]


def test_timm_network_learns_on_the_cpu() -> None:
    network = factory.build_architecture({**GOOD, "source": "timm", "name": "resnet10t", "kwargs": {"drop_rate": 0.1}})
    network(torch.randn(2, 1, 28, 28)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_network_whose_way_depends_on_its_data_is_refused_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "choosy.py").write_text(
        "from torch import nn\nfrom convarium.architectures.builder import Builder\n"
        "class Choosy(nn.Linear):\n"
        "    def forward(self, images):\n"
        "        flat = images.flatten(1)\n"
        "        return super().forward(flat if flat.sum() > 0 else -flat)\n"
        "CHOOSY = Builder(lambda channels, classes, side: Choosy(channels * side**2, classes), {})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    refused = pytest.raises(UserError, match=r"choosy:CHOOSY .* fails: .*cannot be called on meta tensors$")
    with allow_packages(["choosy"]), refused:
        dry_run_architecture({**GOOD, "name": "choosy:CHOOSY"})


def test_an_outside_package_builds_only_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outsider").mkdir()
    (tmp_path / "outsider" / "nets.py").write_text(
        "from torch import nn\nfrom convarium.architectures.builder import Builder, int_between\n"
        "def tiny(in_chans, num_classes, img_size, width=1):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * img_size**2, num_classes * width))\n"
        "TINY = Builder(tiny, {'width': int_between(1, 8)})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    described = {**GOOD, "name": "outsider.nets:TINY", "img_size": 4, "kwargs": {"width": 2}}
    with allow_packages(["outsider"]):
        assert factory.build_architecture(described)(torch.zeros(1, 1, 4, 4)).shape == (1, 20)
    with pytest.raises(UserError, match="package outsider is not allowed here"):
        factory.build_architecture(described)
