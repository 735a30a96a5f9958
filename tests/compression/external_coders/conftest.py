"""A stand-in for the ISO coder's interpreter: our Python, with a package `nncodec` as strict as the real one."""

import sys
from pathlib import Path

import pytest

from convarium.compression.external_coders.nncodec import DEFAULT_INTERPRETER, INTERPRETER_VARIABLE

ROOT = Path(__file__).parents[3]

FAKE_CODER_SOURCE = """
import io, pathlib, zlib
import numpy as np

def compress(arrays, bitstream_path="./bitstream.nnc", qp=-38, opt_qp=0, row_skipping=0, return_bitstream=False):
    if not all(a.dtype in (np.float32, np.int32) for a in arrays.values()):
        raise SystemExit(f"Parameters must be\\n float32 or int32: {arrays}")
    if bitstream_path:
        pathlib.Path(bitstream_path).write_bytes(b"litter")
    [a.shape[0] for a in arrays.values()]
    step = 2.0 ** (qp / 4)
    kept = {n: np.int32(np.round(a / step)) if a.dtype == np.float32 and a.ndim > 1 else a for n, a in arrays.items()}
    buffer = io.BytesIO()
    np.savez(buffer, step=step, **{("f" if arrays[n].dtype == np.float32 else "i") + n: a for n, a in kept.items()})
    return bytearray(zlib.compress(buffer.getvalue()))

def decompress(stream):
    if not isinstance(stream, bytearray):
        raise SystemExit("Could not read bitstream")
    held = np.load(io.BytesIO(zlib.decompress(stream)))
    return {
        n[1:]: held[n] if n[0] == "i" or held[n].dtype == np.float32 else np.float32(held[n] * held["step"])
        for n in held.files if n != "step"
    }
"""

FAKE_INTERPRETER_SOURCE = f"""#!{sys.executable}
import runpy, sys
assert sys.argv[1] == "-I", "our folder would stand before the coder's packages"
sys.path.insert(0, __file__ + ".packages")
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a fake interpreter in the real one's place."""
    program = tmp_path / "fake" / "python"
    package = program.with_name("python.packages") / "nncodec"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "nnc.py").write_text(FAKE_CODER_SOURCE)
    program.write_text(FAKE_INTERPRETER_SOURCE)
    program.chmod(0o755)
    monkeypatch.setenv(INTERPRETER_VARIABLE, str(program))
    return program


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real one, where it is installed."""
    path = ROOT / DEFAULT_INTERPRETER
    if not path.exists():
        pytest.skip("the ISO coder is not installed: make nncodec")
    monkeypatch.setenv(INTERPRETER_VARIABLE, str(path))
    return path
