"""Mistakes that show only when data, networks and the store are touched: one line each, nothing stored harmed."""

import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import pytest
import torch

from command_lines import HERE, IN_PROCESS, Call
from convarium.architectures import factory
from convarium.cvm import container

TINY = (
    "architecture=mlp",
    "architecture.kwargs.hidden=[16]",
    "dataset=digits",
    "dataset.train_size=100",
    "recipe.epochs=1",
)
ARCHITECTURE = {
    "source": "own", "name": "mlp", "in_chans": 1, "num_classes": 10, "img_size": 8, "stem": "native",
    "kwargs": {"hidden": [16], "activation": "relu"},
}  # fmt: skip
HEADER = {
    "architecture": ARCHITECTURE, "task": "classification", "classes": 10, "surgery": [],
    "input": {"shape": [1, 8, 8], "mean": [0.30513625], "std": [0.37596626]},
}  # fmt: skip
Json = dict[str, Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A small network in a file."""
    torch.manual_seed(0)
    container.write_cvm(tmp_path / "net.cvm", factory.build_architecture(ARCHITECTURE), HEADER, {})
    return tmp_path / "net.cvm"


def check_one_line(error: str) -> str:
    assert error.count("convarium: ") == 1, error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


def read_outcomes(out: str) -> list[tuple[str, str]]:
    """Return status and reason of each point from the document of `run --json`."""
    outcomes = [(run["status"], run["error"]) for run in json.loads(out)["runs"]]
    assert all("\n" not in (error or "") for _, error in outcomes)
    return outcomes


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["compression.magnitude.sites=[conv9*]"], "compression.magnitude.sites: 'conv9*' matches no weight"),
        (["compression.magnitude.per_site={conv9*:0.5}"], "compression.magnitude.per_site: 'conv9*' matches no weight"),
        (["compression.magnitude.per_site={fc*:high}"], "per_site"),
        (["compression.magnitude.per_site={fc*:1.5}"], "per_site"),
        (["dataset.train_size=5000"], "dataset.train_size=5000: digits has 1..1297 training images"),
    ],
)
def test_a_method_that_does_not_fit_is_refused_before_anything_is_stored(
    command: str, overrides: list[str], expected: str, call: Call
) -> None:
    kept = [text for text in TINY if text.split("=")[0] != overrides[0].split("=")[0]]
    code, _, error = call(command, *kept, "compression=magnitude", *overrides, *HERE)
    assert code == 2
    assert expected in check_one_line(error)
    assert not Path("store").exists()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["compression=magnitude", "budget.bytes=20"], "budget.bytes=20: the header of the file alone takes"),
        (["compression=kmeans", "budget.macs=0.5"], "quantization/kmeans has no knob that could meet it"),
        (["compression=magnitude", "budget.bytes=9000", "budget.sparsity=0.5"], "bytes and sparsity at once"),
        (["compression=magnitude", "compression.magnitude.terms=[hints]"], "no such term 'hints' (there is kd)"),
        (
            ["compression=magnitude", "compression.magnitude.kd.weight=0.7"],
            "has no effect without compression.magnitude",
        ),
        (["compression=magnitude", "budget.bits=5"], "no such key"),
        (
            ["compression=[nncodec,magnitude]"],
            "is a control of the dense network; leave out the other methods",
        ),
    ],
)
def test_a_budget_or_a_term_that_can_t_be_is_refused_before_anything_is_stored(
    overrides: list[str], expected: str, call: Call
) -> None:
    code, _, error = call("run", *TINY, *overrides, *HERE)
    assert code == 2
    assert expected in error
    assert not Path("store").exists()


def test_a_budget_that_can_t_be_reached_is_a_mistake_alone_and_a_row_in_a_sweep(call: Call) -> None:
    code, out, _ = call("run", "--json", *TINY, "compression=kmeans", "budget.bytes=250", *HERE)
    ((status, reason),) = read_outcomes(out)
    assert (code, status) == (2, "not reachable")
    assert "budget.bytes=250 is not reachable (least " in reason
    code, out, _ = call("run", "--json", *TINY, "compression=none,kmeans", "budget.bytes=250", *HERE)
    assert (code, [status for status, _ in read_outcomes(out)]) == (0, ["done", "not reachable"])
    _, table, _ = call("compare", *TINY, "compression=none,kmeans", "budget.bytes=250", *HERE)
    assert "not reachable (least" in " ".join(table.split())


def test_a_control_that_is_not_installed_is_a_row_in_a_sweep(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONVARIUM_NNCODEC", raising=False)
    code, out, _ = call("run", "--json", *TINY, "compression=none,nncodec", *HERE)
    assert (code, [status for status, _ in read_outcomes(out)]) == (0, ["done", "not installed"])


@pytest.mark.skipif("torch.cuda.is_available()", reason="this host has a GPU")
def test_a_gpu_that_is_not_there_is_said_before_workers_start(call: Call) -> None:
    code, out, reason = call("run", *TINY, "seed=0,1", *HERE, "runtime.accelerator=gpu")
    assert (code, out) == (2, "")
    assert reason.endswith("auto takes what there is, cpu none\n")
    assert "stages to run" not in reason


@pytest.fixture
def unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be downloaded."""

    def unreachable(*_: Any, **__: Any) -> NoReturn:
        raise URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)


@pytest.mark.usefixtures("unplugged")
def test_data_that_is_neither_there_nor_to_be_had(call: Call) -> None:
    """It is said once, before any worker starts, however many points ask for it."""
    code, out, reason = call("run", *TINY, "dataset=mnist", "dataset.root=nowhere", "seed=0,1,2", *HERE)
    assert (code, out) == (2, "")
    assert reason.count("dataset mnist is not in nowhere/MNIST/raw: put train-images-idx3-ubyte") == 1
    assert "stages to run" not in reason
    assert "set dataset.root" in reason


@pytest.mark.usefixtures("unplugged")
def test_data_that_is_damaged(call: Call) -> None:
    folder = Path("data/MNIST/raw")
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(b"no digits")
    code, out, reason = call("run", *TINY, "dataset=mnist", *HERE)
    assert (code, out) == (2, "")
    assert "data/MNIST/raw/train-images-idx3-ubyte is damaged or not the genuine file of mnist" in reason


@pytest.mark.usefixtures("unplugged")
def test_a_point_without_data_costs_no_other_its_result(call: Call) -> None:
    code, out, error = call("run", "--json", *TINY, "dataset=digits,mnist", *HERE)
    assert [status for status, _ in read_outcomes(out)] == ["done", "failed"]
    assert code in (1, 2)
    assert "convarium: dataset mnist is not in" in error
    assert call("run", "--json", *TINY, *HERE)[0] == 0


def test_a_loss_that_is_no_number_fails_the_point_in_one_line(call: Call) -> None:
    command = ("run", *TINY, "compression=none,magnitude", "recipe.warmup_epochs=0", *HERE)
    code, out, error = call(*command, "recipe.lr=1e30")
    assert code == 1
    assert "Traceback" not in out + error
    (line,) = (line for line in error.splitlines() if line.startswith(("failed (nan): ", "blocked")))
    assert "loss became NaN in epoch 1" in line
    assert "lower the learning rate (now 1e+30)" in line
    assert line.endswith("(2 points)")
    code, out, _ = call(*command, "recipe.lr=1e30", "--json")
    assert code == 1
    assert [status for status, _ in read_outcomes(out)] == ["failed", "blocked"]
    assert not list(Path("store").rglob("done.json"))
    assert call(*command, "recipe.lr=0.05", "compression.magnitude.epochs=0")[0] == 0


def test_a_store_that_is_no_folder(call: Call, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    code, out, error = call("run", *TINY, *HERE)
    assert (code, out) == (2, "")
    assert "store" in check_one_line(error)
    assert (tmp_path / "store").read_text() == "mine"


def test_a_store_in_a_place_that_can_t_be_written(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    code, out, error = call("run", *TINY, *IN_PROCESS, "runtime.store=file/store")
    assert (code, out) == (2, "")
    assert "file/store" in check_one_line(error)


def test_a_disk_that_is_full_before_anything_runs(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> NoReturn:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    code, out, error = call("run", *TINY, *HERE)
    assert (code, out) == (2, "")
    assert "No space left on device" in check_one_line(error)


def test_a_disk_that_fills_up_loses_nothing_that_was_stored(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("run", *TINY, *HERE)[0] == 0
    before = {path: path.read_bytes() for path in Path("store").rglob("*") if path.is_file()}

    def full(*_: Any) -> NoReturn:
        raise OSError(28, "No space left on device", "network.cvm")

    with monkeypatch.context() as patched:
        patched.setattr(container, "write_cvm", full)
        code, out, _ = call("run", "--json", *TINY, "seed=0,1", *HERE)
    assert code in (1, 2)
    (first, (status, reason)) = read_outcomes(out)
    assert (first, status) == (("done", None), "failed")
    assert "No space left on device" in reason
    assert before.items() <= {path: path.read_bytes() for path in Path("store").rglob("*") if path.is_file()}.items()
    assert call("run", *TINY, "seed=0,1", *HERE)[0] == 0


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "foreign": lambda data: b"PK\x03\x04" + data[4:],
    "empty": lambda data: b"",
    "truncated": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "altered": lambda data: data[:-200] + bytes([data[-200] ^ 1]) + data[-199:],
    "longer": lambda data: data + b"\0",
    "pickled": lambda data: b"\x80\x04\x95" + data,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_file_that_is_no_network_is_not_measured(kind: str, call: Call, file: Path) -> None:
    file.write_bytes(DAMAGE[kind](file.read_bytes()))
    code, out, error = call("measure", str(file), "dataset=digits")
    assert (code, out) == (2, "")
    assert f"{file} is not a valid .cvm file" in check_one_line(error)


def test_a_file_measured_on_data_it_is_not_for(call: Call, file: Path) -> None:
    code, out, error = call("measure", str(file), "dataset=mnist5k")
    assert (code, out) == (2, "")
    assert "takes images of 1x8x8, dataset=mnist5k has 1x28x28; see dataset.img_size" in check_one_line(error)


@pytest.fixture
def damaged(call: Call) -> Json:
    """The run of a point whose stored network was damaged afterwards, as `run --json` printed it."""
    (run,) = json.loads(call("run", "--json", *TINY, *HERE)[1])["runs"]
    stored = Path(run["path"], "network.cvm")
    stored.write_bytes(stored.read_bytes()[:-50])
    return dict(run)


def test_a_damaged_network_in_the_store_is_not_compressed(damaged: Json, call: Call) -> None:
    code, out, _ = call("run", "--json", *TINY, "compression=magnitude", *HERE)
    ((status, reason),) = read_outcomes(out)
    assert (code, status) == (2, "failed")
    assert f"{damaged['path']}/network.cvm is not a valid .cvm file" in reason
    folder = Path(damaged["path"]).resolve()
    assert reason.endswith(f"; remove the folder {folder}, and the command that asked for it makes it again")


def test_a_network_that_is_gone_from_the_store_is_made_again_when_its_folder_is_removed(
    damaged: Json, call: Call
) -> None:
    folder = Path(damaged["path"]).resolve()
    (folder / "network.cvm").unlink()
    line = ("run", "--json", *TINY, "compression=magnitude", *HERE)
    ((status, reason),) = read_outcomes(call(*line)[1])
    assert status == "failed"
    assert f"{folder}/network.cvm can't be read: No such file or directory; remove the folder {folder}" in reason
    shutil.rmtree(folder)
    code, out, _ = call(*line)
    assert (code, *read_outcomes(out)) == (0, ("done", None))


def test_a_damaged_network_in_the_store_is_not_exported(damaged: Json, call: Call) -> None:
    code, out, error = call("export", damaged["signature"], "-o", "net.cvm", HERE[-1])
    assert (code, out) == (2, "")
    assert "is not a valid .cvm file" in check_one_line(error)
    assert not Path("net.cvm").exists()
