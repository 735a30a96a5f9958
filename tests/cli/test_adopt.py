"""Weights from outside become a dense network of the store: known by content, measured, compressed like ours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from command_lines import Call, CliResult
from convarium.architectures import factory
from convarium.compose.adopted_weights import quote_signatures
from convarium.config.override import Override
from convarium.cvm import container
from convarium.planning.plan import Node
from stages.stage_harness import plan_command_nodes

Json = dict[str, Any]
TINY = ("architecture=mlp", "architecture.kwargs.hidden=[16]", "dataset=digits", "dataset.train_size=200")
BASIC = "hydra/launcher=basic"
MLP: Json = {
    "source": "own", "name": "mlp", "in_chans": 1, "num_classes": 10, "img_size": 8, "stem": "native",
    "kwargs": {"hidden": [16], "activation": "relu"},
}  # fmt: skip


@pytest.fixture
def tensors(here: Path) -> dict[str, torch.Tensor]:
    """The content of `net.safetensors` in the current folder."""
    torch.manual_seed(0)
    found = factory.build_architecture(MLP).state_dict()
    save_file(found, "net.safetensors")
    return found


@pytest.fixture
def adopt(tensors: dict[str, torch.Tensor], call: Call) -> Callable[..., Json]:
    """Adopt a file, by default `net.safetensors`, and return the JSON document."""

    def adopted(*arguments: str, file: str = "net.safetensors") -> Json:
        code, out, error = call("adopt", file, *TINY, *arguments, "--json")
        assert code == 0, (out, error)
        document: Json = json.loads(out)
        return document

    return adopted


def nodes(*overrides: str) -> list[Node]:
    return plan_command_nodes(*TINY, *overrides)


def network(document: Json) -> container.CompressedFile:
    return container.read_cvm(Path(document["runs"][0]["path"], "network.cvm"))


def refused(called: CliResult) -> str:
    code, out, error = called
    assert (code, out) == (2, "")
    assert (error.count("\n"), error.count("convarium: ")) == (1, 1), error
    return error


def test_adopted_weights_are_measured_and_compressed_like_a_dense_network_of_ours(
    adopt: Callable[..., Json], call: Call
) -> None:
    document = adopt()
    signature, (dense,) = document["adopted"]["signature"], document["runs"]
    assert dense["signature"] == signature
    assert 0 <= dense["metrics"]["accuracy"] <= 1
    sweep = ("compression=none,magnitude", "compression.magnitude.epochs=1", "seed=0,1")
    code, out, error = call("run", "--json", *TINY, f"architecture.weights={signature[:6]}", *sweep, BASIC)
    assert code == 0, error
    first, second, pruned, other = json.loads(out)["runs"]
    assert first["signature"] == second["signature"] == signature
    assert first["metrics"] == dense["metrics"]
    assert pruned["signature"] != other["signature"]
    assert pruned["metrics"]["nonzeros"] < first["metrics"]["nonzeros"] / 5
    found = json.loads(call("compare", "--json")[1])
    assert [row["seeds"] for row in found["rows"]] == [[0], [0, 1]]
    assert [row["versus_dense"].get("accuracy", {}).get("seeds") for row in found["rows"]] == [None, 2]


def test_what_an_adopted_network_is_known_by(tensors: dict[str, torch.Tensor], adopt: Callable[..., Json]) -> None:
    first = adopt()["adopted"]
    torch.save({"state_dict": tensors}, "moved.pth")
    again = adopt("seed=7", "recipe.epochs=9", file="moved.pth")["adopted"]
    assert (again["signature"], again["tensors"]) == (first["signature"], first["tensors"])
    assert again["said"] == ["taken from 'state_dict'"]
    torch.save({**tensors, "fc1.bias": tensors["fc1.bias"] + 1}, "other.pth")
    assert adopt(file="other.pth")["adopted"]["signature"] != first["signature"]


def test_the_tensors_of_the_file_are_those_of_the_network(
    tensors: dict[str, torch.Tensor], adopt: Callable[..., Json]
) -> None:
    document = adopt()
    stored = container.materialise_network(network(document)).state_dict()
    assert all(torch.equal(stored[name], tensor) for name, tensor in tensors.items())
    assert sorted(path.name for path in Path(document["runs"][0]["path"]).iterdir()) == [
        "done.json", "log.txt", "network.cvm",
    ]  # fmt: skip


def test_weights_keep_their_normalisation_and_the_data_theirs(adopt: Callable[..., Json], call: Call) -> None:
    document = adopt("dataset.mean=[0.5]", "dataset.std=[0.25]")
    assert document["adopted"]["input"] == {"mean": [0.5], "std": [0.25]}
    assert network(document).header["input"]["mean"] == [0.5]
    weights = f"architecture.weights={document['adopted']['signature']}"
    assert json.loads(call("plan", "--json", *TINY, weights)[1])["to_run"] == 0
    assert adopt()["adopted"]["input"] == {"mean": [0.30513625], "std": [0.37596626]}


def test_an_adopted_network_is_retrained_on_images_normalised_as_its_own(call: Call, here: Path) -> None:
    """The same network, once trained here by another normalisation than the data's, once adopted from its file."""
    steps = ("recipe.epochs=1", "compression=magnitude", "compression.magnitude.epochs=1", BASIC)
    other = ("dataset.mean=[0.6]", "dataset.std=[0.2]")
    (ours,) = json.loads(call("run", "--json", *TINY, *steps, *other)[1])["runs"]
    dense = nodes(*steps[:3], *other)[0].signature
    assert call("export", dense, "-o", "net.cvm")[0] == 0
    signature = json.loads(call("adopt", "net.cvm", *TINY, "--json")[1])["adopted"]["signature"]
    (adopted,) = json.loads(call("run", "--json", *TINY, f"architecture.weights={signature}", *steps)[1])["runs"]
    assert Path(adopted["path"], "network.cvm").read_bytes() == Path(ours["path"], "network.cvm").read_bytes()


def test_a_new_head_is_drawn_from_the_seed_and_can_be_trained(tensors: dict[str, torch.Tensor], call: Call) -> None:
    head = {"fc2.weight": torch.randn(7, 16), "fc2.bias": torch.randn(7)}
    save_file({**tensors, **head}, "seven.safetensors")
    drawn = [
        json.loads(call("adopt", "seven.safetensors", *TINY, "--new-head", "--json", *more)[1])
        for more in ((), ("seed=1",), ("--train", "recipe.epochs=6"))
    ]
    assert [one["adopted"]["fresh"] for one in drawn] == [["fc2.weight", "fc2.bias"]] * 3
    bodies, heads = (
        [container.materialise_network(network(one)).get_parameter(name) for one in drawn]
        for name in ("fc1.weight", "fc2.weight")
    )
    assert torch.equal(bodies[0], bodies[1])
    assert not torch.equal(heads[0], heads[1])
    accuracies = [one["runs"][0]["metrics"]["accuracy"] for one in drawn]
    assert accuracies[2] > max(accuracies[:2]) + 0.2


def test_adopted_weights_stand_where_training_would_for_every_seed(adopt: Callable[..., Json]) -> None:
    weights = f"architecture.weights={adopt()['adopted']['signature']}"
    found = nodes(weights, "compression=magnitude", "seed=0,1")
    assert [node.stage for node in found] == ["adopt", "compress", "measure", "compress", "measure"]
    assert {node.parents[0] for node in found if node.stage == "compress"} == {found[0].signature}
    assert "weights" not in found[0].stage_config["architecture"]


def test_comparing_adopted_weights_with_training_differs_in_the_weights(adopt: Callable[..., Json], call: Call) -> None:
    signature = adopt()["adopted"]["signature"]
    sweep = (f"architecture.weights=null,{signature}", "recipe.epochs=1")
    assert call("run", *TINY, *sweep, BASIC)[0] == 0
    rows = json.loads(call("compare", *TINY, *sweep, "--json")[1])["rows"]
    assert [row["differs"] for row in rows] == [{"architecture.weights": None}, {"architecture.weights": signature}]
    assert [row["training_steps"] for row in rows] == [4, 0]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("architecture.weights=1234", "architecture.weights='1234'"),
        ("architecture.weights=12e4,ab12,0123", "architecture.weights='12e4',ab12,'0123'"),
        ("architecture.weights=null,'1234'", "architecture.weights=null,'1234'"),
        ("compression.kd.teacher.signature=5e3", "compression.kd.teacher.signature='5e3'"),
        ("recipe.epochs=1234", "recipe.epochs=1234"),
    ],
)
def test_a_signature_that_looks_like_a_number_is_none(typed: str, read: str) -> None:
    assert quote_signatures(Override(typed)) == read


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "which weights? usage: convarium adopt WEIGHTS"),
        (("nothing.pth", *TINY), "nothing.pth can't be read: No such file"),
        (("net.safetensors", *TINY[:1], *TINY[2:]), "net.safetensors does not fit: 3 of another shape (fc1.weight is"),
        (("net.safetensors", "architecture=lenet5"), "4 missing (conv1.weight, conv1.bias, conv2.weight, …)"),
        (("pretrained", *TINY), "architecture mlp has no pretrained weights"),
        (("net.safetensors", *TINY, "seed=0,1"), "adopt takes one point, not 2"),
        (("net.safetensors", *TINY, "compression=magnitude"), "leave out compression"),
        (("net.safetensors", *TINY, "dataset.mean=[0.1,0.2]"), "dataset.mean has 2 values for dataset.channels=1"),
        (("net.safetensors", *TINY, "dataset.std=[0]"), "dataset.std=[0.0]: expected numbers above 0"),
        (("net.safetensors", *TINY, "dataset.mena=[0.1]"), "did you mean mean?"),
    ],
)
@pytest.mark.usefixtures("tensors")
def test_a_mistake_is_one_line_and_stores_nothing(arguments: tuple[str, ...], said: str, call: Call) -> None:
    assert said in refused(call("adopt", *arguments))
    assert not Path("outputs").exists()


def test_weights_that_can_t_begin_a_point_are_told_in_one_line(adopt: Callable[..., Json], call: Call) -> None:
    signature = adopt()["adopted"]["signature"]
    assert "nothing in the store" in refused(call("run", *TINY, "architecture.weights=zz"))
    other = refused(call("run", *TINY, "architecture.kwargs.hidden=[8]", f"architecture.weights={signature}"))
    assert "was adopted for architecture.kwargs=" in other
    assert "leave it out" in refused(call("adopt", "net.safetensors", *TINY, f"architecture.weights={signature}"))
    measured = nodes(f"architecture.weights={signature}")[1].signature
    assert "is of stage measure, no adopted weights" in refused(call("run", *TINY, f"architecture.weights={measured}"))
