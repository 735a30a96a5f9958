"""What is timed is named in lists; what would be set in vain is refused."""

from typing import Any

import pytest

from convarium.config.checker import check_closed_group
from convarium.config.measurement import check_measurement
from convarium.config.schema import MeasurementConfig
from convarium.errors import UserError


def measurement(**values: Any) -> dict[str, Any]:
    return check_measurement(check_closed_group(values, MeasurementConfig, "measurement"), {})


def test_nothing_is_timed_unless_an_executor_is_named() -> None:
    assert measurement() == {
        "executors": [], "batch_sizes": [1], "threads": 1, "device": "cpu", "cpu": None, "gpu": None,
    }  # fmt: skip


def test_hardware_is_named_without_the_spaces_around_it() -> None:
    found = measurement(executors=["eager"], device="gpu", cpu=" AMD EPYC 7543 ", gpu="NVIDIA H200\t")
    assert (found["cpu"], found["gpu"]) == ("AMD EPYC 7543", "NVIDIA H200")


def test_what_is_named_twice_is_timed_once_and_the_first_stays_first() -> None:
    found = measurement(executors=["onnxruntime", "eager", "onnxruntime"], batch_sizes=[16, 1, 16])
    assert (found["executors"], found["batch_sizes"]) == (["onnxruntime", "eager"], [16, 1])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"batch_sizes": [16]}, "measurement.batch_sizes=[16]: nothing is timed: name measurement.executors"),
        ({"threads": 2}, "measurement.threads=2: nothing is timed: name measurement.executors"),
        ({"executors": ["eager"], "batch_sizes": []}, "measurement.batch_sizes=[] times nothing"),
        (
            {"executors": ["eager"], "batch_sizes": [0]},
            "measurement.batch_sizes[0]=0 is out of range, expected int of at least 1",
        ),
        (
            {"executors": ["eager"], "batch_sizes": 8},
            "measurement.batch_sizes=8 is int, expected list of int of at least 1",
        ),
        ({"executors": ["eagre"]}, "measurement.executors[0]=eagre: expected one of eager, compiled, onnxruntime"),
        ({"executors": "eager"}, "measurement.executors='eager' is str, expected list of one of eager, compiled"),
        ({"time": True}, "measurement.time: no such key (there is batch_sizes, cpu, device, executors, gpu, threads)"),
        ({"executor": "eager"}, "measurement.executor: no such key (did you mean executors?)"),
        ({"executors": ["eager", "onnxruntime"], "device": "gpu"}, "onnxruntime runs on the CPU only"),
        ({"cpu": "AMD EPYC 7543"}, "measurement.cpu='AMD EPYC 7543': nothing is timed: name measurement.executors"),
        ({"executors": ["eager"], "cpu": " "}, "measurement.cpu is empty: expected the name of a processor"),
        ({"executors": ["eager"], "device": "gpu", "gpu": ""}, "measurement.gpu is empty: expected the name of a GPU"),
        (
            {"executors": ["eager"], "gpu": "NVIDIA H200"},
            "measurement.gpu='NVIDIA H200': measurement.device=cpu times the processor; add measurement.device=gpu",
        ),
    ],
)
def test_a_mistake_is_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        measurement(**values)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_budget_of_latency_is_timed_though_no_executor_is_named() -> None:
    assert check_measurement(
        check_closed_group({"batch_sizes": [16]}, MeasurementConfig, "measurement"), {"latency": 0.5}
    )["batch_sizes"] == [16]
