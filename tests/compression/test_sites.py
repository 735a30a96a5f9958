"""Which weights a method works on."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

from convarium.compression.sites import Site, check_sites, find_bias_sites, get_site_knob, resolve_sites
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.sparse import Sparse


def network() -> nn.Module:
    layers = OrderedDict(
        conv1=nn.Conv2d(1, 2, 3),
        norm=nn.BatchNorm2d(2),
        conv2=nn.Conv2d(2, 4, 3),
        flat=nn.Flatten(),
        fc=nn.Linear(4, 3),
    )
    return nn.Sequential(layers)


def step(**knobs: Any) -> dict[str, Any]:
    return {"method": "pruning/magnitude", "sparsity": 0.9, "per_site": {}, "scope": "layer", "sites": ["*"], **knobs}


def names(sites: tuple[Site, ...]) -> list[str]:
    return [site.name for site in sites]


def test_sites_are_the_weights_of_convolutions_and_linear_layers_in_the_network_s_order() -> None:
    sites = resolve_sites(network(), step())
    assert sites == (
        Site("conv1.weight", (2, 1, 3, 3)), Site("conv2.weight", (4, 2, 3, 3)), Site("fc.weight", (3, 4)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["conv*"], ["conv1.weight", "conv2.weight"]),
        (["fc*", "conv1.weight"], ["conv1.weight", "fc.weight"]),
        (["*1*", "conv*"], ["conv1.weight", "conv2.weight"]),
    ],
)
def test_patterns_choose_sites(patterns: list[str], chosen: list[str]) -> None:
    assert names(resolve_sites(network(), step(sites=patterns))) == chosen


def test_a_tied_weight_is_one_site_represented_or_not() -> None:
    bare = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.Linear(4, 4), c=nn.Linear(4, 4)))
    bare.b.weight = bare.a.weight
    assert names(resolve_sites(bare, step())) == ["a.weight", "c.weight"]
    parametrization.attach_representations(
        bare, {"a.weight": Sparse.from_dense(torch.tensor([0, 5]), bare.a.weight.detach())}
    )
    assert names(resolve_sites(bare, step())) == ["a.weight", "c.weight"]


def test_a_network_that_is_itself_a_layer_has_a_site() -> None:
    assert names(resolve_sites(nn.Linear(2, 3), step())) == ["weight"]


def test_biases_are_those_of_the_layers_whose_weights_are_named() -> None:
    sites = find_bias_sites(network(), step(sites=["conv2*", "fc*"]))
    assert sites == (Site("conv2.bias", (4,)), Site("fc.bias", (3,)))


def test_a_layer_without_bias_has_none_and_a_tied_one_is_named_once() -> None:
    bare = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.Linear(4, 4), c=nn.Linear(4, 4, bias=False)))
    bare.b.bias = bare.a.bias
    assert names(find_bias_sites(bare, step())) == ["a.bias"]
    parametrization.attach_representations(bare, {"a.bias": Sparse.from_dense(torch.tensor([0]), bare.a.bias.detach())})
    assert names(find_bias_sites(bare, step())) == ["a.bias"]


def test_a_tied_weight_s_layers_all_show_their_biases() -> None:
    bare = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.Linear(4, 4)))
    bare.b.weight = bare.a.weight
    assert names(find_bias_sites(bare, step(sites=["a*"]))) == ["a.bias", "b.bias"]


def test_the_first_pattern_that_matches_sets_a_site_s_knob() -> None:
    method = step(per_site={"conv1*": 0.1, "conv*": 0.2})
    values = {site.name: get_site_knob(method, "sparsity", site) for site in resolve_sites(network(), method)}
    assert values == {"conv1.weight": 0.1, "conv2.weight": 0.2, "fc.weight": 0.9}


MISTAKES = {
    "no such site": (
        {"sites": ["conv9*"]},
        "compression.magnitude.sites: 'conv9*' matches no weight (there are conv1.w",
    ),
    "one of two": ({"sites": ["*", "bn*"]}, "compression.magnitude.sites: 'bn*' matches no weight"),
    "a bias": ({"sites": ["fc.bias"]}, "'fc.bias' matches no weight"),
    "no text": ({"sites": [5]}, "compression.magnitude.sites: 5 matches no weight"),
    "no pattern": ({"sites": []}, "compression.magnitude.sites=[] names no weight"),
    "a knob for no site": ({"per_site": {"fc2*": 0.5}}, "compression.magnitude.per_site: 'fc2*' matches no weight"),
    "a knob for a site left out": (
        {"sites": ["conv*"], "per_site": {"fc*": 0.5}},
        "per_site: 'fc*' matches no weight (there are conv1.weight, conv2.weight)",
    ),
    "a knob that is not a number": ({"per_site": {"fc*": "high"}}, "per_site: 'fc*' has 'high', expected a number"),
    "two ways at once": ({"per_site": {"fc*": 0.5}, "scope": "global"}, "per_site says nothing with scope=global"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_method_that_does_not_fit_is_refused_in_one_line(kind: str) -> None:
    knobs, said = MISTAKES[kind]
    with pytest.raises(UserError) as error:
        check_sites(network().to("meta"), step(**knobs))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_network_without_layers_to_work_on_is_refused() -> None:
    with pytest.raises(UserError, match="pruning/magnitude finds no convolution or linear layer"):
        check_sites(nn.Sequential(nn.BatchNorm2d(3)), step())


def test_a_method_without_sites_fits_every_network() -> None:
    check_sites(nn.ReLU(), {"method": "coding/huffman"})
