"""export writes files for others and says whether they are right; verify finds out again from the file alone."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
import pytest
from safetensors.torch import load_file, save_file

from command_lines import IN_PROCESS
from convarium.cli import main
from convarium.portable import file_format
from convarium.store.store import Store

Json = dict[str, Any]
TINY = (
    "architecture=mlp", "architecture.kwargs.hidden=[16]", "dataset=digits", "recipe.epochs=4", "seed=0",
    "compression=none,[magnitude,kmeans,huffman]", "compression.magnitude.rounds=1", "compression.magnitude.epochs=1",
    "compression.kmeans.epochs=0",
)  # fmt: skip
OTHERS = ("onnx", "onnx_int8", "safetensors", "torch_export")

pytestmark = pytest.mark.xdist_group("export")  # its store is made once


class Command:
    """Calls convarium in this process, on one store; keeps what it said last."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "store"
        self.out, self.error, self.code = "", "", 0

    def __call__(self, *arguments: str) -> "Command":
        out, error = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(error):
            self.code = main([*arguments, f"runtime.store={self.store}"])
        self.out, self.error = out.getvalue(), error.getvalue()
        return self

    def json(self, *arguments: str) -> Json:
        found: Json = json.loads(self(*arguments, "--json").out)
        return found

    def export(self, signature: str, form: str, name: str = "") -> tuple[Path, Json]:
        file = self.folder / (name or f"net.{form}")
        return file, self.json("export", signature, "--format", form, "-o", str(file), "runtime.threads=1")

    def refused(self, *arguments: str) -> str:
        self(*arguments)
        assert (self.code, self.out) == (2, ""), self.error
        assert self.error.startswith("convarium: "), self.error
        assert self.error.count("\n") == 1, self.error
        return self.error


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def signatures(command: Command) -> list[str]:
    """The dense network and a compressed one."""
    return [one["signature"] for one in command.json("run", *TINY, *IN_PROCESS)["runs"]]


@pytest.fixture(scope="module")
def files(command: Command, signatures: list[str]) -> dict[str, tuple[Path, Json]]:
    """The compressed network in every format."""
    found = {}
    for form in OTHERS:
        found[form] = command.export(signatures[1], form)
        assert (command.code, command.error) == (0, "")
    return found


@pytest.mark.parametrize("form", OTHERS)
def test_a_file_says_what_the_stored_network_says(form: str, files: dict[str, tuple[Path, Json]], signatures) -> None:
    path, found = files[form]
    assert (found["file"], found["format"], found["signature"]) == (str(path), form, signatures[1])
    assert found["bytes"] == path.stat().st_size
    judged = found["parity"]
    assert judged["images"] == {"validation": 200, "test": 300}
    assert judged["accuracy"]["test"]["stored"] > 0.5
    if form == "onnx_int8":
        assert (judged["measure"], judged["bound"]) == ("pp", 0.5)
        assert judged["parity"] == (judged["accuracy_delta_pp"] <= 0.5)
        assert judged["relative"] > 1e-5
        assert found["quantized_by"] == "onnxruntime"
        assert found["requantized"] == ["fc1.weight", "fc2.weight"]
    else:
        assert "quantized_by" not in found
        assert (judged["parity"], judged["measure"], judged["bound"]) == (True, "relative", 1e-5)
        assert judged["relative"] == judged["difference"] / judged["scale"] <= 1e-5


@pytest.mark.parametrize("form", OTHERS)
def test_verify_finds_the_original_by_what_the_file_says(form: str, files, command: Command, tmp_path) -> None:
    path, found = files[form]
    moved = tmp_path / "whatever.bin"
    moved.write_bytes(path.read_bytes())
    again = command.json("verify", str(moved), "runtime.threads=1")
    assert command.code == (0 if found["parity"]["parity"] else 1)
    assert again == {**found, "file": str(moved)}


def test_a_cvm_is_the_stored_file_and_is_found_by_its_bytes(command: Command, signatures: list[str]) -> None:
    path, found = command.export(signatures[1], "cvm")
    folder = Store(command.store).find_folder(signatures[1])
    assert folder is not None
    assert path.read_bytes() == (folder / "network.cvm").read_bytes()
    assert (found["parity"], command.json("verify", str(path))["signature"]) == (None, signatures[1])
    assert command.code == 0


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("by.onnx", "onnx"),
        ("by.SAFETENSORS", "safetensors"),
        ("by.pt2", "torch_export"),
        ("by.cvm", "cvm"),
    ],
)
def test_without_a_format_the_suffix_says_it(name: str, form: str, command: Command, signatures: list[str]) -> None:
    file = command.folder / name
    assert command.json("export", signatures[1], "-o", str(file), "runtime.threads=1")["format"] == form
    assert file.read_bytes().startswith(b"CVM1") == (form == "cvm")
    if form != "cvm":
        assert file_format.read_metadata(file)["format"] == form


@pytest.mark.parametrize(
    "name", ["no.pt", "no.pth", "no.pkl", "no.bin", "no.h5", "no.tflite", "no.onnx.gz", "no", ".cvm"]
)
def test_a_name_that_says_no_format_is_refused(name: str, command: Command, signatures: list[str]) -> None:
    file = command.folder / name
    said = command.refused("export", signatures[1], "-o", str(file))
    assert f"-o {file}: " in said
    assert ".cvm (cvm), .onnx (onnx or onnx_int8), .safetensors (safetensors), .pt2 (torch_export)" in said
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "form", "right"),
    [("no.onnx", "cvm", "onnx or onnx_int8"), ("no.cvm", "onnx", "cvm"), ("no.pt2", "safetensors", "torch_export")],
)
def test_a_suffix_of_another_format_is_refused(
    name: str, form: str, right: str, command: Command, signatures: list[str]
) -> None:
    file = command.folder / name
    said = command.refused("export", signatures[1], "--format", form, "-o", str(file))
    assert f"--format {form} -o {file}: {file.suffix} is the suffix of --format {right}" in said
    assert not file.exists()


def test_the_figures_are_those_of_the_measurement(files, command: Command, signatures: list[str]) -> None:
    metrics = command.json("run", *TINY, *IN_PROCESS)["runs"][1]["metrics"]
    assert files["onnx"][1]["parity"]["accuracy"]["test"]["stored"] == metrics["accuracy"]
    assert files["onnx"][1]["parity"]["accuracy"]["validation"]["stored"] == metrics["validation_accuracy"]


def test_another_network_is_no_parity(files, command: Command, signatures: list[str]) -> None:
    command("verify", str(files["onnx"][0]), signatures[0])
    assert (command.code, command.error) == (1, "")
    assert "no: at most 1e-05" in command.out


def test_a_changed_weight_is_no_parity(files, command: Command, tmp_path: Path) -> None:
    path, tensors = files["safetensors"][0], load_file(files["safetensors"][0])
    tensors["fc2.bias"][3] += 0.01
    save_file(tensors, tmp_path / "changed", metadata=file_format.read_metadata(path))
    judged = command.json("verify", str(tmp_path / "changed"))["parity"]
    assert (command.code, judged["parity"]) == (1, False)
    assert judged["difference"] == pytest.approx(0.01, rel=1e-3)


def test_int8_that_costs_more_than_half_a_point_is_written_and_the_row_says_no(
    files, command: Command, signatures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = {**files["onnx_int8"][1]["parity"], "parity": False, "accuracy_delta_pp": 0.7}
    monkeypatch.setattr("convarium.cli.parity_report.compare_in_fresh_process", lambda *_: judged)
    command("export", signatures[0], "--format", "onnx_int8", "-o", str(command.folder / "poor.onnx"))
    assert command.code == 0
    assert "no: accuracy differs by 0.70 pp (at most 0.5)" in command.out
    assert "quantized by onnxruntime, to 8 bits by scales of its own\n" in command.out
    assert (command.folder / "poor.onnx").is_file()
    command("export", signatures[0], "--format", "safetensors", "-o", str(command.folder / "poor.safetensors"))
    assert command.code == 1


def test_a_table_for_people_says_format_bytes_and_verdict(files, command: Command) -> None:
    command("verify", str(files["safetensors"][0]))
    assert (command.code, command.error) == (0, "")
    assert command.out.splitlines()[0] == str(files["safetensors"][0])
    assert "yes: at most 1e-05" in command.out


def test_the_line_of_int8_names_the_tensors_whose_own_values_are_lost(files, command: Command) -> None:
    said = command("verify", str(files["onnx_int8"][0])).out.splitlines()[1]
    assert said.endswith("by scales of its own, not by those of the stored network (fc1.weight, fc2.weight)")


def broken(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", OTHERS)
def test_a_damaged_file_is_one_line(form: str, files, command: Command, tmp_path: Path) -> None:
    data = files[form][0].read_bytes()
    cut = broken(tmp_path / "cut", data[: len(data) // 2])
    assert f"{cut} is not a valid " in command.refused("verify", str(cut))


def test_a_foreign_file_is_one_line(files, command: Command, signatures: list[str], tmp_path: Path) -> None:
    model = onnx.load(files["onnx"][0])
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    said = command.refused("verify", str(tmp_path / "foreign.onnx"))
    assert "doesn't say which network it is" in said
    assert command.json("verify", str(tmp_path / "foreign.onnx"), signatures[1])["parity"]["parity"]
    assert "is not a network file" in command.refused("verify", str(broken(tmp_path / "text", b"hello")))
    assert "No such file" in command.refused("verify", str(tmp_path / "nothing.onnx"))
    cut = broken(tmp_path / "cut.cvm", b"CVM1" + bytes(90))
    assert "its digest doesn't match" in command.refused("verify", str(cut))
    stranger = broken(tmp_path / "other.cvm", b"CVM1" + sha256(b"CVM1").digest())
    assert "is not a file of the store" in command.refused("verify", str(stranger))
    assert "is not a valid .cvm file" in command.refused("verify", str(stranger), signatures[0])
    wider = onnx.load(files["onnx"][0])
    wider.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 9
    onnx.save(wider, tmp_path / "wider.onnx")
    assert "can't be run on images of [1, 8, 8]" in command.refused("verify", str(tmp_path / "wider.onnx"))


def test_mistakes_of_the_command_line_are_one_line(files, command: Command, signatures: list[str]) -> None:
    path, target = str(files["onnx"][0]), str(command.folder / "x")
    assert "which file? usage: convarium verify FILE" in command.refused("verify")
    assert "verify takes runtime.… and dataset.root=FOLDER" in command.refused("verify", path, "recipe.lr=1")
    assert "nothing in the store" in command.refused("verify", path, "ffff")
    assert "export takes runtime.…" in command.refused("export", signatures[0], "-o", target, "seed=1")
    assert "invalid choice: 'tflite'" in command.refused("export", signatures[0], "--format", "tflite", "-o", target)


def test_a_file_that_lies_there_is_replaced_whole_or_not_at_all(
    command: Command, signatures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = command.export(signatures[0], "safetensors", "kept")
    before, beside = path.read_bytes(), set(command.folder.iterdir())
    command.export(signatures[1], "safetensors", "kept")
    assert path.read_bytes() != before
    before = path.read_bytes()
    (command.folder / "folder").mkdir(exist_ok=True)
    assert "Is a directory" in command.refused(
        "export", signatures[0], "--format", "safetensors", "-o", str(command.folder / "folder")
    )
    missing: Callable[..., None] = lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))  # noqa: E731
    monkeypatch.setattr("convarium.cli.parity_report.compare_in_fresh_process", missing)
    assert "No space left" in command.refused("export", signatures[0], "--format", "safetensors", "-o", str(path))
    assert path.read_bytes() == before
    assert set(command.folder.iterdir()) == beside | {command.folder / "folder"}


def test_a_result_that_made_no_network_can_t_be_exported(command: Command, signatures: list[str]) -> None:
    folder = Store(command.store).find_folder(signatures[0])
    assert folder is not None
    (folder / "network.cvm").rename(folder / "hidden")
    try:
        said = command.refused("export", signatures[0], "--format", "onnx", "-o", str(command.folder / "x"))
    finally:
        (folder / "hidden").rename(folder / "network.cvm")
    assert "has no network.cvm" in said
