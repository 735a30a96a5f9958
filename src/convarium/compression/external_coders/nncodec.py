"""The ISO neural-network coder (ISO/IEC 15938-17), PyPI `nncodec` 2.1.3, called as a process: it pins numpy below 2.

`make nncodec` installs it in an environment of its own. It is optional: `find_interpreter` returns None without it.
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
    """One call of the coder.

    Attributes:
        arrays: by name, float32 (coded with loss) or int32 (exactly), of one axis at least.
        settings: options of `nnc.compress`.
    """

    arrays: Arrays
    settings: Mapping[str, int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class CodingResult:
    """The result of a request.

    Attributes:
        stream: what the coder wrote.
        arrays: those that decoding it gives, by name.
        encode_seconds: processor time; about 0 where a stream was only decoded.
        decode_seconds: processor time.
    """

    stream: bytes
    arrays: dict[str, NDArray[Any]]
    encode_seconds: float
    decode_seconds: float


def find_interpreter() -> Path | None:
    """Return the Python that has the coder: CONVARIUM_NNCODEC, else `.venv-nncodec` in the current folder, else None.

    Raises:
        UserError: CONVARIUM_NNCODEC names no program.
    """
    configured = os.environ.get(INTERPRETER_VARIABLE)
    interpreter = shutil.which(configured or DEFAULT_INTERPRETER)
    if configured and interpreter is None:
        raise UserError(
            f"{INTERPRETER_VARIABLE}={configured} is not a program:"
            " it must be the Python of the ISO coder's environment"
        )
    # Absolute: the process starts in another folder.
    return Path(interpreter).absolute() if interpreter else None


def encode_and_decode(requests: Sequence[CodingRequest]) -> list[CodingResult]:
    """Encode and decode all requests in one process, as its start takes some seconds.

    Raises:
        ProgramNotInstalled: the coder is not installed.
        StageFailed: the process failed; the message is the last line of its output.
    """
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        documents = []
        for index, request in enumerate(requests):
            # By number: an archive makes file names of its keys, which the names of tensors need not be.
            numbered_arrays = {str(number): array for number, array in enumerate(request.arrays.values())}
            np.savez(folder / f"{index}.npz", **numbered_arrays)  # type: ignore[arg-type]
            documents.append({"names": list(request.arrays), "settings": dict(request.settings)})
        _run_process(folder, documents)
        return _read_results(folder)


def compress_arrays(arrays: Arrays, *, qp: int, opt_qp: bool = True) -> bytes:
    """Return the stream of `arrays`; `qp` quantises float32 arrays of two axes or more, vectors hardly.

    Raises:
        ProgramNotInstalled, StageFailed: see `encode_and_decode`.
    """
    (result,) = encode_and_decode([CodingRequest(arrays, {"qp": qp, "opt_qp": opt_qp})])
    return result.stream


def decompress_stream(stream: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a stream, by name.

    Raises:
        ProgramNotInstalled, StageFailed: see `encode_and_decode`.
    """
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        (folder / "0.nnc").write_bytes(stream)
        _run_process(folder, [{"names": None}])
        (result,) = _read_results(folder)
    return result.arrays


def _run_process(folder: Path, requests: list[dict[str, Any]]) -> None:
    """Answer the requests in `folder`, see `nncodec_process` for its files."""
    python = find_interpreter()
    if python is None:
        raise ProgramNotInstalled(
            f"the ISO coder is not installed: run `make nncodec`, or set {INTERPRETER_VARIABLE} to its Python"
        )
    (folder / "requests.json").write_text(json.dumps(requests))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    # -I: without it the script's folder, where a module is called nncodec too, would come before the coder's packages.
    command = [str(python), "-I", str(PROCESS_SCRIPT), str(folder)]
    try:
        process = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace",
            start_new_session=True,  # Ctrl-C goes to our process only, or it would be reported as the coder's failure
            preexec_fn=die_with_parent,
        )  # fmt: skip
    except OSError as error:
        raise StageFailed(f"the ISO coder can't be started: {python}: {error.strerror}") from None
    if process.returncode:
        output = process.stderr.strip() or process.stdout.strip() or f"exit code {process.returncode}"
        raise StageFailed(f"the ISO coder failed: {output.splitlines()[-1]}")


def _read_results(folder: Path) -> list[CodingResult]:
    documents = json.loads((folder / "results.json").read_text())
    return [_read_result(folder, index, document) for index, document in enumerate(documents)]


def _read_result(folder: Path, index: int, document: dict[str, Any]) -> CodingResult:
    with np.load(folder / f"decoded-{index}.npz") as archive:
        arrays = {name: archive[str(number)] for number, name in enumerate(document["names"])}
    stream = (folder / f"{index}.nnc").read_bytes()
    return CodingResult(stream, arrays, document["encode_seconds"], document["decode_seconds"])
