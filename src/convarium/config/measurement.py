"""What is timed: lists without repetition, and nothing that is set in vain."""

from collections.abc import Mapping
from typing import Any

from convarium.config.messages import format_value
from convarium.errors import UserError

Json = dict[str, Any]
TIMING_DEFAULTS = {"batch_sizes": [1], "threads": 1, "device": "cpu"}
GPU_EXECUTORS = ("eager", "compiled")


def check_measurement(measurement: Mapping[str, Any], budget: Mapping[str, Any]) -> Json:
    """Return the measurement, what its lists name twice named once.

    Raises:
        UserError: images a pass, threads or device are set, but neither is anything timed nor a latency the budget; no
            batch; an executor that has no GPU.
    """
    result = {key: _drop_duplicates(value) if isinstance(value, list) else value for key, value in measurement.items()}
    if not result["batch_sizes"]:
        raise UserError("measurement.batch_sizes=[] times nothing; write [1], or leave it out")
    if others := [one for one in result["executors"] if result["device"] == "gpu" and one not in GPU_EXECUTORS]:
        there = " and ".join(GPU_EXECUTORS)
        raise UserError(f"measurement.device=gpu: {others[0]} runs on the CPU only; time {there} there")
    if not result["executors"] and budget.get("latency") is None:
        for key, value in TIMING_DEFAULTS.items():
            if result[key] != value:
                raise UserError(
                    f"measurement.{key}={format_value(result[key])}: nothing is timed: name measurement.executors"
                )
    return result


def _drop_duplicates(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
