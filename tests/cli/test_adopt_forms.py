"""What `adopt` says of weights without an architecture, and what a signature alone brings back."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from convarium.architectures import factory
from convarium.cli import main
from convarium.compose.points import compose_points
from convarium.planning.stage_graph import build_plan

Called = tuple[int, str, str]
Call = Callable[..., Called]
TINY = ("architecture=mlp", "architecture.kwargs.hidden=[16]", "dataset=digits", "dataset.train_size=200")
BASIC = "hydra/launcher=basic"


@pytest.fixture
def tensors(here: Path) -> dict[str, torch.Tensor]:
    """The content of `net.pth` in the current folder."""
    (point,) = compose_points(TINY).check_points()
    torch.manual_seed(0)
    found = factory.build_architecture(point.config["architecture"]).state_dict()
    torch.save(found, "net.pth")
    return found


def adopt(call: Call, *arguments: str) -> dict[str, Any]:
    code, out, error = call("adopt", *arguments, "--json")
    assert code == 0, error
    adopted: dict[str, Any] = json.loads(out)["adopted"]
    return adopted


def refused(called: Called) -> str:
    code, out, error = called
    assert (code, out) == (2, "")
    assert (error.count("\n"), error.count("convarium: ")) == (1, 1), error
    return error


def signatures(*overrides: str) -> set[str]:
    return set(build_plan(compose_points(overrides).check_points()).nodes)


@pytest.mark.usefixtures("tensors")
def test_a_signature_alone_brings_its_architecture(call: Call) -> None:
    signature = adopt(call, "net.pth", *TINY)["signature"]
    weights = f"architecture.weights={signature[:6]}"
    (point,) = compose_points([weights, *TINY[2:]]).check_points()
    assert point.config["architecture"]["kwargs"]["hidden"] == [16]
    assert signatures(weights, *TINY[2:]) == signatures(weights, *TINY)
    both = compose_points([f"architecture.weights={signature},null", *TINY[2:]]).check_points()
    assert [one.config["architecture"]["name"] for one in both] == ["mlp", "mlp"]
    code, out, error = call("run", weights, *TINY[2:], "--json", BASIC)
    assert (code, json.loads(out)["runs"][0]["signature"]) == (0, signature), error


def test_a_network_of_a_library_comes_back_by_its_name(call: Call, here: Path) -> None:
    typed = ("architecture=timm", "architecture.name=test_resnet", "architecture.kwargs.drop_rate=0.1", *TINY[2:])
    (point,) = compose_points(typed).check_points()
    torch.save(factory.build_architecture(point.config["architecture"]).state_dict(), "net.pth")
    weights = f"architecture.weights={adopt(call, 'net.pth', *typed)['signature']}"
    assert signatures(weights, *TINY[2:]) == signatures(weights, *typed)


def test_counters_of_batches_make_no_other_network(call: Call, here: Path) -> None:
    typed = ("architecture=timm", "architecture.name=test_resnet", *TINY[2:])
    (point,) = compose_points(typed).check_points()
    network = factory.build_architecture(point.config["architecture"])
    network(torch.randn(4, 1, 8, 8))
    trained = network.state_dict()
    torch.save(trained, "new.pth")
    torch.save({name: one for name, one in trained.items() if not name.endswith("num_batches_tracked")}, "old.pth")
    assert adopt(call, "new.pth", *typed)["signature"] == adopt(call, "old.pth", *typed)["signature"]


@pytest.mark.usefixtures("tensors")
def test_another_architecture_or_dataset_than_the_weights_is_one_line(call: Call) -> None:
    signature = adopt(call, "net.pth", *TINY)["signature"]
    weights = f"architecture.weights={signature}"
    assert "was adopted for architecture.name=mlp, not lenet5" in refused(call("plan", weights, "architecture=lenet5"))
    assert "was adopted for architecture.in_chans=1, not 3" in refused(call("plan", weights, "dataset=cifar10"))
    other = refused(call("plan", weights, *TINY[2:], "architecture.kwargs.hidden=[8]"))
    assert "was adopted for architecture.kwargs=" in other
    assert "nothing in the store" in refused(call("plan", "architecture.weights=zz"))


@pytest.mark.usefixtures("tensors")
def test_weights_of_several_networks_are_given_one_at_a_time(call: Call) -> None:
    first = adopt(call, "net.pth", *TINY)["signature"]
    wide = [*TINY[:1], "architecture.kwargs.hidden=[8]", *TINY[2:]]
    (point,) = compose_points(wide).check_points()
    torch.save(factory.build_architecture(point.config["architecture"]).state_dict(), "wide.pth")
    second = adopt(call, "wide.pth", *wide)["signature"]
    said = refused(call("plan", f"architecture.weights={first},{second}", *TINY[2:]))
    assert "are of several networks (mlp): give each its own command" in said


@pytest.mark.usefixtures("tensors")
def test_the_last_line_is_the_next_command(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call("adopt", "net.pth", *TINY, "seed=0")
    line = out.splitlines()[-1].partition("to compress it: ")[2]
    words = shlex.split(line)
    assert code == 0
    assert words[:2] == ["convarium", "run"]
    assert {"architecture=basic/mlp", *TINY[1:], "compression=magnitude"} < set(words)
    assert any(word.startswith("architecture.weights=") for word in words)
    assert main(["plan", *words[2:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["to_run"] == 1


def test_what_weights_are_held_against_is_said_where_nothing_was_chosen(
    call: Call, tensors: dict[str, torch.Tensor]
) -> None:
    said = refused(call("adopt", "net.pth", "dataset=mnist5k"))
    assert "net.pth does not fit architecture=lenet5, the default where no architecture= is given: its names" in said
    assert "architecture=mlp" in said
    small = refused(call("adopt", "net.pth", "dataset=digits"))
    assert "net.pth can't be held against architecture=lenet5, the default where no architecture= is given" in small
    assert "architecture=mlp" in small
    torch.save({"x": torch.ones(3, 3)}, "other.pth")
    assert "add the architecture= that it is of" in refused(call("adopt", "other.pth", "dataset=mnist5k"))


def test_weights_of_another_network_than_the_typed_one_name_theirs(
    call: Call, tensors: dict[str, torch.Tensor]
) -> None:
    said = refused(call("adopt", "net.pth", "architecture=lenet5", "dataset=mnist5k"))
    assert "net.pth does not fit: " in said
    assert "architecture=mlp" in said


def test_a_folder_tells_its_normalisation_where_the_channels_are_its_own(
    call: Call, here: Path, tensors: dict[str, torch.Tensor]
) -> None:
    (here / "hf").mkdir()
    save_file(tensors, here / "hf/model.safetensors")
    for mean, told in (([0.25], True), ([0.5, 0.5, 0.5], False)):
        config = {"architecture": "mlp", "pretrained_cfg": {"mean": mean, "std": mean}}
        (here / "hf/config.json").write_text(json.dumps(config))
        adopted = adopt(call, "hf", *TINY)
        assert (adopted["input"]["mean"] == mean) is told
        assert any("config.json tells mean" in note for note in adopted["said"]) is told
