"""Check of what is timed and on what hardware: lists without repetition, and no setting that has no effect."""

from collections.abc import Mapping
from typing import Any

from convarium.config.messages import format_value
from convarium.errors import UserError

Json = dict[str, Any]
TIMING_DEFAULTS = {"batch_sizes": [1], "threads": 1, "device": "cpu", "cpu": None, "gpu": None}
GPU_EXECUTORS = ("eager", "compiled")
HARDWARE_WORDS = {"cpu": "processor", "gpu": "GPU"}


def check_measurement(measurement: Mapping[str, Any], budget: Mapping[str, Any]) -> Json:
    """Return the measurement with its lists without repetition.

    Raises:
        UserError: batch sizes, threads or hardware are set, but neither an executor nor a budget of latency; no batch
            size; an executor that has no GPU; an empty name of hardware, or that of a GPU where the processor is timed.
    """
    result = {key: _drop_duplicates(value) for key, value in measurement.items()}
    for key in HARDWARE_WORDS:
        result[key] = _check_hardware_name(key, result[key])
    if result["gpu"] is not None and result["device"] == "cpu":
        raise UserError(
            f"measurement.gpu={format_value(result['gpu'])}: measurement.device=cpu times the processor; add"
            " measurement.device=gpu"
        )
    if not result["batch_sizes"]:
        raise UserError("measurement.batch_sizes=[] times nothing; write [1], or leave it out")
    cpu_executors = [executor for executor in result["executors"] if executor not in GPU_EXECUTORS]
    if cpu_executors and result["device"] == "gpu":
        gpu_text = " and ".join(GPU_EXECUTORS)
        raise UserError(f"measurement.device=gpu: {cpu_executors[0]} runs on the CPU only; time {gpu_text} there")
    if not result["executors"] and budget.get("latency") is None:
        for key, value in TIMING_DEFAULTS.items():
            if result[key] != value:
                raise UserError(
                    f"measurement.{key}={format_value(result[key])}: nothing is timed: name measurement.executors"
                )
    return result


def _check_hardware_name(key: str, name: str | None) -> str | None:
    """Return a name without the spaces around it.

    Raises:
        UserError: nothing is left.
    """
    if name is None:
        return None
    if not name.strip():
        raise UserError(
            f"measurement.{key} is empty: expected the name of a {HARDWARE_WORDS[key]} as convarium plan prints it on"
            " its host, or null for this host's"
        )
    return name.strip()


def _drop_duplicates(value: Any) -> Any:
    return list(dict.fromkeys(value)) if isinstance(value, list) else value
