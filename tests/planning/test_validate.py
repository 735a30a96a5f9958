"""The second tier of validation: networks and methods are tried on the meta device, each pair once."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from convarium.architectures import dry_run
from convarium.compose.points import compose_points
from convarium.compression import sites
from convarium.planning.validate import validate_points
from stages.stage_harness import TINY_TRAINING


def reasons(*overrides: str) -> dict[int, str]:
    return validate_points(compose_points(overrides).points)


def test_what_fits_is_not_mentioned() -> None:
    assert reasons(*TINY_TRAINING, "compression=none,[magnitude,kmeans,huffman]", "seed=0,1") == {}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["compression.magnitude.sites=[conv9*]"], "compression.magnitude.sites: 'conv9*' matches no weight"),
        (["compression.magnitude.per_site={conv1*:0.5}"], "compression.magnitude.per_site: 'conv1*' matches no weight"),
        (["compression.magnitude.sites=[3]"], "compression.magnitude.sites: 3 matches no weight"),
        (["architecture.kwargs.hidden=[0]"], "hidden"),
        (["architecture=timm", "architecture.name=resnet1000"], "timm has no such network"),
        (["architecture=torchvision", "architecture.name=alexnet"], "alexnet with images of 1x8x8 fails"),
        (["dataset.train_size=5000"], "dataset.train_size=5000: digits has 1..1297 training images"),
    ],
)
def test_what_can_t_work_is_said_in_one_line(overrides: list[str], said: str) -> None:
    base = [text for text in TINY_TRAINING if text.split("=")[0] not in {other.split("=")[0] for other in overrides}]
    if any(text.startswith("architecture=") for text in overrides):
        base = [text for text in base if "kwargs" not in text]
    (reason,) = reasons(*base, "compression=magnitude", *overrides).values()
    assert said in reason
    assert "\n" not in reason


def test_only_the_points_that_can_t_work_are_named() -> None:
    found = reasons(*TINY_TRAINING, "compression=none,magnitude,kmeans", "compression.magnitude.sites=[conv9*]")
    assert list(found) == [1]


def test_each_network_is_built_once_and_each_pair_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built, tried = list[str](), list[tuple[int, str]]()
    trial, check = dry_run.dry_run_architecture, sites.check_sites

    def counted_trial(architecture: Mapping[str, Any]) -> torch.nn.Module:
        built.append(str(architecture["kwargs"]["hidden"]))
        return trial(architecture)

    def counted_check(network: torch.nn.Module, step: Mapping[str, Any]) -> None:
        assert all(parameter.is_meta for parameter in network.parameters())
        tried.append((sum(parameter.numel() for parameter in network.parameters()), step["method"]))
        check(network, step)

    monkeypatch.setattr(dry_run, "dry_run_architecture", counted_trial)
    monkeypatch.setattr(sites, "check_sites", counted_check)
    command = (
        *TINY_TRAINING[:-1],
        "architecture.kwargs.hidden=[16],[32]",
        "compression=none,magnitude,[magnitude,kmeans]",
    )
    assert reasons(*command, "seed=0,1,2") == {}
    assert built == ["[16]", "[32]"]
    assert len(tried) == len(set(tried)) == 4


def test_a_fault_of_one_point_leaves_the_others_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found: a `KeyError` of one method ended the whole command in a traceback."""
    check = sites.check_sites

    def faulty(network: torch.nn.Module, step: Mapping[str, Any]) -> None:
        if step["method"] == "pruning/magnitude":
            raise KeyError("b.weight")
        check(network, step)

    monkeypatch.setattr(sites, "check_sites", faulty)
    found = reasons(*TINY_TRAINING, "compression=none,magnitude,kmeans")
    assert found == {1: "pruning/magnitude on architecture mlp can't be tried: KeyError: 'b.weight'"}


def test_a_fault_of_one_network_leaves_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = dry_run.dry_run_architecture

    def faulty(architecture: Mapping[str, Any]) -> torch.nn.Module:
        if architecture["kwargs"]["hidden"] == [16]:
            raise RuntimeError("one line\nand another")
        return trial(architecture)

    monkeypatch.setattr(dry_run, "dry_run_architecture", faulty)
    found = reasons(*TINY_TRAINING[:-1], "architecture.kwargs.hidden=[16],[32]", "compression=magnitude")
    assert found == {0: "architecture mlp can't be tried: RuntimeError: one line and another"}
