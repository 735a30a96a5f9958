"""The ISO coder as a process of another interpreter."""

import sys
from pathlib import Path

import numpy as np
import pytest

from convarium.compression.external_coders import nncodec
from convarium.compression.external_coders.nncodec import DEFAULT_INTERPRETER, INTERPRETER_VARIABLE, CodingRequest
from convarium.errors import StageFailed, UserError

RANDOM = np.random.default_rng(0)
FLOATS = {"file": RANDOM.normal(size=(20, 30)).astype(np.float32), "fc1.bias": np.ones(20, np.float32)}
WHOLE = {
    "a": RANDOM.integers(-3, 4, (20, 30)).astype(np.int32),
    "b": np.array([2**31 - 1, -(2**31) + 1, 0], np.int32),
    "c": RANDOM.integers(-1, 2, (3, 4, 5, 6)).astype(np.int32).transpose(3, 2, 1, 0),
}


@pytest.mark.parametrize("installed", ["stand_in", "real"])
def test_whole_numbers_survive_exactly_and_floats_nearly_in_one_process(
    installed: str, request: pytest.FixtureRequest, here: Path
) -> None:
    request.getfixturevalue(installed)
    requests = [CodingRequest(WHOLE), *(CodingRequest(FLOATS, {"qp": qp, "opt_qp": True}) for qp in (-32, -8))]
    whole, fine, coarse = nncodec.encode_and_decode(requests)
    assert list(whole.arrays) == list(WHOLE)
    for name, array in WHOLE.items():
        assert whole.arrays[name].dtype == np.int32
        np.testing.assert_array_equal(whole.arrays[name], array)
    np.testing.assert_allclose(fine.arrays["file"], FLOATS["file"], atol=0.02)
    assert np.abs(coarse.arrays["file"] - FLOATS["file"]).max() > 0.02
    assert len(coarse.stream) < len(fine.stream)
    assert not list(here.glob("*.nnc")), "nothing is left in the current folder"


def test_a_stream_is_decoded_by_a_later_process(stand_in: Path) -> None:
    stream = nncodec.compress_arrays(FLOATS, qp=-32)
    assert stream == nncodec.compress_arrays(FLOATS, qp=-32)
    found = nncodec.decompress_stream(stream)
    assert list(found) == list(FLOATS)
    np.testing.assert_allclose(found["fc1.bias"], 1, atol=1e-3)


def test_a_failure_of_the_process_is_one_line(stand_in: Path) -> None:
    with pytest.raises(StageFailed, match=r"^the ISO coder failed: \w+: [^\n]+$"):
        nncodec.decompress_stream(nncodec.compress_arrays(FLOATS, qp=-32)[:-20])
    with pytest.raises(StageFailed, match="the ISO coder failed: SystemExit"):
        nncodec.compress_arrays({"a": np.zeros((3, 3))}, qp=-20)


def test_an_interpreter_without_the_coder_says_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERPRETER_VARIABLE, sys.executable)
    with pytest.raises(StageFailed, match="ModuleNotFoundError: No module named 'nncodec'"):
        nncodec.compress_arrays(FLOATS, qp=-20)


def test_not_installed_is_a_value(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INTERPRETER_VARIABLE, raising=False)
    assert nncodec.find_interpreter() is None
    with pytest.raises(UserError, match="make nncodec"):
        nncodec.compress_arrays(FLOATS, qp=-20)


def test_the_interpreter_is_named_or_lies_beside_ours(
    stand_in: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = here / DEFAULT_INTERPRETER
    beside.parent.mkdir(parents=True)
    beside.symlink_to(stand_in)
    assert nncodec.find_interpreter() == stand_in
    monkeypatch.setenv(INTERPRETER_VARIABLE, "")
    assert nncodec.find_interpreter() == beside


@pytest.mark.parametrize("given", ["nowhere/python", "."])
def test_a_variable_that_names_no_program_is_the_users_mistake(
    given: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INTERPRETER_VARIABLE, given)
    with pytest.raises(UserError, match=f"{INTERPRETER_VARIABLE}={given} is not a program"):
        nncodec.find_interpreter()
