"""The ISO neural-network coder (ISO/IEC 15938-17), PyPI `nncodec` 2.1.3, called as a process: it pins numpy below 2.

`make nncodec` installs it beside our own environment; where it isn't, there is no such control, and no error either.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.child_process import die_with_parent
from convarium.errors import ProgramNotInstalled, StageFailed, UserError

INTERPRETER_VARIABLE = "CONVARIUM_NNCODEC"
DEFAULT_INTERPRETER = Path(".venv-nncodec/bin/python")
PROCESS_SCRIPT = Path(__file__).with_name("nncodec_process.py")
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class CodingRequest:
    """Arrays by name, float32 (quantised) or int32 (exact), of one axis at least; options of `nnc.compress`."""

    arrays: Arrays
    settings: Mapping[str, int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class CodingResult:
    """A stream, what decoding it gives, and the processor seconds of both (or of decoding alone)."""

    stream: bytes
    arrays: dict[str, NDArray[Any]]
    encode_seconds: float
    decode_seconds: float


def find_interpreter() -> Path | None:
    """The Python that has the coder: CONVARIUM_NNCODEC, else `.venv-nncodec` in the current folder, else None.

    Raises:
        UserError: CONVARIUM_NNCODEC names no program.
    """
    given = os.environ.get(INTERPRETER_VARIABLE)
    found = shutil.which(given or DEFAULT_INTERPRETER)
    if given and found is None:
        raise UserError(
            f"{INTERPRETER_VARIABLE}={given} is not a program: it must be the Python of the ISO coder's environment"
        )
    return Path(found).absolute() if found else None


def encode_and_decode(requests: Sequence[CodingRequest]) -> list[CodingResult]:
    """Encode and decode all requests in one process: its start takes some seconds.

    Raises:
        NotInstalled: the coder is not there.
        StageFailed: the process failed; its last line.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for index, request in enumerate(requests):
            held = {str(number): array for number, array in enumerate(request.arrays.values())}
            np.savez(folder / f"{index}.npz", **held)  # type: ignore[arg-type]
        _run_process(
            folder, [{"names": list(request.arrays), "settings": dict(request.settings)} for request in requests]
        )
        return _read_results(folder)


def compress_arrays(arrays: Arrays, *, qp: int, opt_qp: bool = True) -> bytes:
    """Encode; float32 arrays of two axes or more are quantised by `qp`, vectors hardly (`encode_and_decode`)."""
    return encode_and_decode([CodingRequest(arrays, {"qp": qp, "opt_qp": opt_qp})])[0].stream


def decompress_stream(stream: bytes) -> dict[str, NDArray[Any]]:
    """Decode a stream (see `encode_and_decode`)."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "0.nnc").write_bytes(stream)
        _run_process(folder, [{"names": None}])
        return _read_results(folder)[0].arrays


def _run_process(folder: Path, requests: list[dict[str, Any]]) -> None:
    python = find_interpreter()
    if python is None:
        raise ProgramNotInstalled(
            f"the ISO coder is not installed: run `make nncodec`, or set {INTERPRETER_VARIABLE} to its Python"
        )
    (folder / "requests.json").write_text(json.dumps(requests))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(python), "-I", str(PROCESS_SCRIPT), str(folder)]  # -I: or our folder would stand before its packages
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace",
            start_new_session=True, preexec_fn=die_with_parent,  # Ctrl-C is its parent's to hear, not its own failure
        )  # fmt: skip
    except OSError as error:
        raise StageFailed(f"the ISO coder can't be started: {python}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise StageFailed(f"the ISO coder failed: {said[-1]}")


def _read_results(folder: Path) -> list[CodingResult]:
    return [
        _read_result(folder, index, found)
        for index, found in enumerate(json.loads((folder / "results.json").read_text()))
    ]


def _read_result(folder: Path, index: int, found: dict[str, Any]) -> CodingResult:
    with np.load(folder / f"decoded-{index}.npz") as held:
        arrays = {name: held[str(place)] for place, name in enumerate(found["names"])}
    return CodingResult(
        (folder / f"{index}.nnc").read_bytes(), arrays, found["encode_seconds"], found["decode_seconds"]
    )
