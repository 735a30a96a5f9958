"""The models that race are those whose quality was measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from convarium.errors import ProgramNotInstalled
from convarium.stages.execute import ExecuteConfig, execute
from convarium.stages.time import TimeConfig, time
from convarium.workers.runtime import Parent, Runtime

RACE = {"latency_ms": 1.0, "dense_ms": 1.0, "speedup": 1.0, "spread": 1.1, "peak_memory_bytes": None}


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(
        folder=tmp_path / "work", checkpoint_folder=tmp_path, threads=1, accelerator="cpu", data_root=None,
        report=lambda **figures: None, check_lease=lambda: None, run_fresh=lambda *_: None,
    )  # fmt: skip


def parents(*names: str) -> tuple[Parent, ...]:
    return tuple(Parent(name, Path(name), {}) for name in names)


def build_config(executor: str) -> TimeConfig:
    return TimeConfig(measurement={"executor": executor, "batch": 1, "threads": 1}, host={})


@pytest.mark.parametrize(
    ("executor", "given", "raced"),
    [
        ("eager", ("net", "dense"), ["net/network.cvm", "dense/network.cvm", "net/network.cvm"]),
        (
            "onnxruntime_int8",
            ("net", "dense", "net_int8", "dense_int8"),
            ["net_int8/model.onnx", "dense_int8/model.onnx", "net/network.cvm"],
        ),
    ],
)
def test_the_models_that_were_kept_race(runtime: Runtime, executor: str, given, raced) -> None:
    asked = []

    def fresh(_, *arguments):
        asked.append([*arguments])
        return RACE

    found = time(build_config(executor), parents(*given), replace(runtime, run_fresh=fresh))
    assert asked == [[*raced, build_config(executor).measurement]] * 3
    assert found["metrics"]["peak_memory_bytes"] is None


def test_an_execution_keeps_its_model_in_its_own_folder(runtime: Runtime) -> None:
    asked = []
    fresh = lambda target, *arguments: asked.append((target, *arguments))  # noqa: E731
    told = {"executor": "onnxruntime_int8", "host": {}, "dataset": {"a": 1}, "task": {"b": 2}, "calibration_images": 7}
    execute(ExecuteConfig(**told), parents("net"), replace(runtime, run_fresh=fresh))
    folder = str(runtime.folder.absolute())
    assert asked == [
        (
            "convarium.measurement.execution:execute_file", "net/network.cvm", "onnxruntime_int8", {"a": 1}, {"b": 2},
            7, folder, None, 1, None,
        )
    ]  # fmt: skip


def test_without_a_compiler_nothing_is_compiled_and_the_failure_is_a_value(runtime: Runtime, monkeypatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ProgramNotInstalled):
        execute(ExecuteConfig("compiled", host={}, dataset={}, task={}), parents("net"), runtime)
    with pytest.raises(ProgramNotInstalled):
        time(build_config("compiled"), parents("net"), runtime)
