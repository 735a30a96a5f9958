"""convarium.load needs torch alone; files are known by their content."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import convarium
from convarium.errors import UserError
from convarium.portable.file_format import detect_format
from portable.conftest import KINDS, write_network_file

HEAVY = (
    "hydra", "omegaconf", "lightning", "pytorch_lightning", "mlflow", "sklearn", "pandas", "scipy", "matplotlib",
    "timm", "torchvision", "torch_pruning", "onnx", "onnxruntime", "yaml", "joblib", "PIL", "rich", "plotly", "numba",
)  # fmt: skip
ALONE = """import json, sys
sys.modules.update(dict.fromkeys(json.loads(sys.argv[1])))  # None: not installed
import torch, convarium
for path in sys.argv[2:]:
    network = convarium.load(path)
    with torch.no_grad():
        print(tuple(network(torch.zeros(2, 1, 8, 8)).shape))
"""


def test_files_of_every_kind_load_where_there_is_only_torch(tmp_path: Path) -> None:
    files = [str(write_network_file(tmp_path / f"{number}.cvm", kind)) for number, kind in enumerate(KINDS)]
    command = [sys.executable, "-c", ALONE, json.dumps(HEAVY), *files]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.split("\n") == [*["(2, 10)"] * len(KINDS), ""]


def test_reading_it_imports_nothing_that_could_be_left_out() -> None:
    read = "import sys, convarium; convarium.load; print(*sorted(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True)
    imported = set(ended.stdout.split())
    assert not imported & {*HEAVY, "safetensors"}
    assert not {
        name for name in imported if name.startswith(("convarium.datasets", "convarium.cli", "convarium.store"))
    }


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    assert detect_format(write_network_file(tmp_path / "net.onnx")) == "cvm"
    assert convarium.load(str(tmp_path / "net.onnx"))
    for content, said in [
        (b"", "is not a network file"),
        (b"PK\x03\x04", "is torch_export, which"),
        (b"\x08\x0a", "is onnx"),
    ]:
        (tmp_path / "net.cvm").write_bytes(content)
        with pytest.raises(UserError, match=said):
            convarium.load(tmp_path / "net.cvm")
    with pytest.raises(UserError, match="can't be read: No such file"):
        convarium.load(tmp_path / "nothing.cvm")
