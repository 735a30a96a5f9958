"""ONNX files: float32 says what the network says, for any number of images; int8 nearly."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from convarium.architectures import factory
from convarium.cvm import container
from convarium.errors import UserError
from convarium.portable import onnx_file as written_onnx
from convarium.portable import onnx_int8_file
from convarium.portable.file_format import is_quantized, read_metadata
from convarium.portable.model_card import ModelCard, parse_model_card
from convarium.portable.onnx_session import load_onnx_runner
from portable.conftest import LENET, build_header, decode_network, write_network_file

RESNET = {"source": "own", "name": "resnet20", "in_chans": 3, "num_classes": 5, "img_size": 16}
MOBILE = {"source": "timm", "name": "mobilenetv3_small_050", "in_chans": 3, "num_classes": 5, "img_size": 32}


class Reluctant(nn.Module):
    """Its way depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return self.layer(flat) if flat.sum() > 0 else self.layer(-flat)  # type: ignore[no-any-return]


class Mean(nn.Module):
    """It has nothing to learn."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :10] * 2


def relative(found: np.ndarray, expected: Tensor) -> float:
    return float(np.abs(found - expected.numpy()).max() / expected.abs().max())


def expected(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LENET as ONNX, exported once; its network's file lies beside."""
    folder = tmp_path_factory.mktemp("onnx")
    network = decode_network(write_network_file(folder / "net.cvm"))
    written_onnx.write_onnx(network, (1, 8, 8), folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize("batch", [1, 2, 33])
def test_it_says_what_the_network_says_of_any_number_of_images(float_file: Path, images: Tensor, batch: int) -> None:
    found = load_onnx_runner(float_file, threads=1)(images[:batch].numpy())
    assert relative(found, expected(decode_network(float_file.with_name("net.cvm")), images[:batch])) < 1e-5


@pytest.mark.parametrize("given", [RESNET, MOBILE], ids=lambda given: given["name"])
def test_networks_with_batch_norm_and_those_of_others_are_held(given: dict[str, object], tmp_path: Path) -> None:
    architecture = {"stem": "native", "kwargs": {}, **given}
    network = decode_network(write_network_file(tmp_path / "net.cvm", architecture=architecture))
    images = torch.rand(3, *build_header(architecture)["input"]["shape"])
    written_onnx.write_onnx(network, images.shape[1:], tmp_path / "net.onnx")
    assert relative(load_onnx_runner(tmp_path / "net.onnx", 1)(images.numpy()), expected(network, images)) < 1e-5


def test_operator_set_and_names_are_the_documented_ones_and_no_path_is_inside(float_file: Path) -> None:
    model = onnx.load(float_file)
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 20)]
    given, returned = model.graph.input[0], model.graph.output[0]
    assert (given.name, returned.name) == ("images", "logits")
    assert [one.dim_param or one.dim_value for one in given.type.tensor_type.shape.dim] == ["N", 1, 8, 8]
    assert [one.dim_param or one.dim_value for one in returned.type.tensor_type.shape.dim] == ["N", 10]
    assert b".py" not in float_file.read_bytes()


def test_int8_is_a_third_of_the_bytes_and_nearly_as_exact(float_file: Path, images: Tensor, tmp_path: Path) -> None:
    onnx_int8_file.write_onnx_int8(float_file, images.numpy(), tmp_path / "int8.onnx")
    assert is_quantized(tmp_path / "int8.onnx")
    assert not is_quantized(float_file)
    assert (tmp_path / "int8.onnx").stat().st_size < float_file.stat().st_size / 3
    weights = [one for one in onnx.load(tmp_path / "int8.onnx").graph.initializer if "weight_quantized" in one.name]
    assert {one.data_type for one in weights} == {onnx.TensorProto.INT8}
    found = load_onnx_runner(tmp_path / "int8.onnx", 1)(images.numpy())
    assert 1e-5 < relative(found, expected(decode_network(float_file.with_name("net.cvm")), images)) < 0.05


def test_the_card_in_a_file_says_what_a_server_must_know(float_file: Path, tmp_path: Path) -> None:
    path, given = tmp_path / "net.onnx", build_header(LENET)
    path.write_bytes(float_file.read_bytes())
    written_onnx.write_onnx_card(path, ModelCard("0123456789ab", "onnx", given))
    assert parse_model_card(read_metadata(path), str(path)) == ModelCard("0123456789ab", "onnx", given)
    assert read_metadata(path)["mean"] == "[0.25]"


def test_what_onnx_can_t_hold_is_one_line_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^ONNX can't hold this network: .*data-dependent") as found:
        written_onnx.write_onnx(Reluctant(), (1, 8, 8), tmp_path / "net.onnx")
    assert "\n" not in str(found.value)
    assert not list(tmp_path.iterdir())


def test_int8_of_nothing_to_quantise_is_refused(images: Tensor, tmp_path: Path) -> None:
    written_onnx.write_onnx(Mean(), (1, 8, 8), tmp_path / "net.onnx")
    with pytest.raises(UserError, match="nothing to quantise"):
        onnx_int8_file.write_onnx_int8(tmp_path / "net.onnx", images.numpy(), tmp_path / "int8.onnx")
    assert not (tmp_path / "int8.onnx").exists()


def test_a_network_with_representations_attached_is_not_exported(tmp_path: Path) -> None:
    parametrized = container.build_parametrized_network(
        container.read_cvm(write_network_file(tmp_path / "net.cvm", "shared"))
    )
    with pytest.raises(UserError, match="fc1 has representations attached"):
        written_onnx.write_onnx(parametrized, (1, 8, 8), tmp_path / "net.onnx")


@pytest.mark.parametrize("content", [b"\x08\x08\x12", b"no model at all"])
def test_a_file_that_is_no_model_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"net\.onnx: onnxruntime can't load it: [^\n]*$"):
        load_onnx_runner(tmp_path / "net.onnx", 1)


def test_an_exporter_is_not_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network = factory.build_architecture({**LENET, "name": "mlp"})
    written_onnx.write_onnx(network, (1, 8, 8), tmp_path / "net.onnx")
    onnx_int8_file.write_onnx_int8(
        tmp_path / "net.onnx", np.random.rand(4, 1, 8, 8).astype(np.float32), tmp_path / "int8.onnx"
    )
    load_onnx_runner(tmp_path / "int8.onnx", 1)
    assert capfd.readouterr() == ("", "")
