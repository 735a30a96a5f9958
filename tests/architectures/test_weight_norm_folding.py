"""Weight normalisation becomes plain weights of equal answers; what else computes weights is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from command_lines import HERE
from convarium.architectures import factory, weight_norm_folding
from convarium.architectures.weights import Weights
from convarium.cli import main
from convarium.cvm import container
from convarium.errors import UserError
from convarium.lookup import allow_packages
from convarium.weight_files.match_weights import match_weights
from odd_networks import build_odd_header

Form = Callable[..., nn.Module]
FORMS = pytest.mark.parametrize("form", [weight_norm, parametrizations.weight_norm], ids=["old", "parametrized"])
PLAIN = {f"{place}.{leaf}" for place in (0, 2, 4) for leaf in ("weight", "bias")}


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 3, groups=2)
    return nn.Sequential(first, nn.ReLU(), second, nn.Flatten(), nn.Linear(4 * 64, 5))


def normalised(form: Form, dim: int | None) -> nn.Sequential:
    network = plain()
    for place in (0, 2, 4):
        form(network[place], dim=dim)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


def images() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@FORMS
@pytest.mark.parametrize("dim", [0, 1, None])
def test_it_is_taken_off_what_is_built(form: Form, dim: int | None) -> None:
    network = normalised(form, dim)
    wanted = network(images())
    weight_norm_folding.remove_reparametrizations(network, "net")
    assert torch.equal(network(images()), wanted)
    assert set(network.state_dict()) == PLAIN
    assert vars(network)["weight_norm_removed"] == ["0.weight", "2.weight", "4.weight"]


@FORMS
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_from_outside_are_folded_when_they_are_read(form: Form, dim: int | None, prefix: str) -> None:
    network = normalised(form, dim)
    tensors = {prefix + name: tensor.detach() for name, tensor in network.state_dict().items()}
    found = match_weights(Weights(tensors), plain(), "net.pth")
    assert any(line.startswith("weight_norm is folded into 3 weights (0.weight, ") for line in found.notes)
    folded = plain()
    folded.load_state_dict(found.tensors)
    assert torch.allclose(folded(images()), network(images()), rtol=1e-4, atol=1e-4)


def test_names_that_the_network_has_itself_are_left_alone() -> None:
    tensors = {"gate_g": torch.ones(4, 1), "gate_v": torch.ones(4, 3)}
    assert weight_norm_folding.fold_weight_norm(tensors, {"gate_g", "gate_v"}) == (tensors, [])
    assert set(weight_norm_folding.fold_weight_norm({"gate_g": torch.ones(4, 1)}, set())[0]) == {"gate_g"}
    assert set(weight_norm_folding.fold_weight_norm({**tensors, "gate_g": torch.ones(5, 1)}, set())[0]) == {
        "gate_g",
        "gate_v",
    }


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight


def both(layer: nn.Module) -> None:
    parametrizations.weight_norm(layer)
    parametrize.register_parametrization(layer, "weight", Doubled())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spectral_norm, "4.weight is computed by SpectralNorm from other tensors"),
        (parametrizations.spectral_norm, "4.weight is computed by SpectralNorm from other tensors"),
        (parametrizations.orthogonal, "4.weight is computed by Orthogonal from other tensors"),
        (
            lambda layer: parametrize.register_parametrization(layer, "weight", Doubled()),
            "4.weight is computed by Doub",
        ),
        (lambda layer: parametrize.register_parametrization(layer, "bias", Doubled()), "4.bias is computed by Doubled"),
        (both, "4.weight is computed by Doubled from other tensors"),
        (lambda layer: prune.random_unstructured(layer, "weight", 0.5), "4.weight is computed by RandomUnstructured"),
    ],
)
def test_others_are_refused(change: Callable[[Any], Any], said: str) -> None:
    network = plain()
    change(network[4])
    with pytest.raises(UserError) as caught:
        weight_norm_folding.remove_reparametrizations(network, "net")
    assert f"architecture net: {said}" in str(caught.value)


@pytest.mark.parametrize("name", ["WEIGHT_NORM", "WEIGHT_NORM_PARAMETRIZED"])
def test_a_network_with_it_is_trained_compressed_and_stored(
    name: str, write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    option = f"source: own\nname: odd_networks:{name}\nin_chans: null\nnum_classes: null\nimg_size: null\n"
    write("conf/architecture/odd.yaml", f"{option}stem: native\nweights: null\nkwargs: {{}}\n")
    command = ["architecture=odd", "dataset=digits", "dataset.train_size=50", "recipe.epochs=1"]
    assert main(["plan", *command, *HERE]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "weight_norm is taken off when it is built (conv2.weight): these are plain weights" in said
    steps = ["compression=[magnitude,kmeans]", "compression.magnitude.epochs=0", "compression.kmeans.epochs=0"]
    assert main(["run", *command, *steps, *HERE]) == 0


def test_its_file_holds_plain_weights(tmp_path: Path) -> None:
    with allow_packages(["odd_networks"]):
        network = factory.build_architecture(build_odd_header("WEIGHT_NORM")["architecture"]).eval()
    container.write_cvm(tmp_path / "net.cvm", network, build_odd_header("WEIGHT_NORM"), {})
    loaded = container.load_cvm(tmp_path / "net.cvm", ["odd_networks"])
    some = torch.randn(2, 1, 8, 8)
    assert torch.equal(loaded(some), network(some))
