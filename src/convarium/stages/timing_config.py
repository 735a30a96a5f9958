"""What a time and an execution depend on: the executor with its version, and the hardware that they are for."""

from collections.abc import Mapping
from typing import Any

from convarium.errors import UserError
from convarium.host.devices import find_gpu_name
from convarium.host.hardware import find_package_version
from convarium.host.provenance import read_cpu_model
from convarium.stages.execute import ExecuteConfig
from convarium.stages.time import TimeConfig

Json = dict[str, Any]
EAGER_EXECUTOR = "eager"
EXPORTED_EXECUTORS = ("onnxruntime", "onnxruntime_int8")
CALIBRATION_IMAGES = 500
INT8_EXECUTOR = "onnxruntime_int8"
COARSE_DECIDERS = {"bwn", "kmeans", "levels"}


def list_time_settings(config: Json) -> list[Json]:
    """Return the settings of each timing that a point asks for: executor, batch size, threads, device."""
    measurement = config["measurement"]
    device = {} if measurement["device"] == "cpu" else {"device": measurement["device"]}
    return [
        {"executor": executor, "batch": batch, "threads": measurement["threads"], **device}
        for executor in measurement["executors"]
        for batch in measurement["batch_sizes"]
    ]


def select_latency_setting(config: Json) -> Json:
    """Return the settings that a budget of latency is measured with: the first, eager where none are named."""
    measurement = config["measurement"]
    return list_time_settings(
        {"measurement": {**measurement, "executors": measurement["executors"] or [EAGER_EXECUTOR]}}
    )[0]


def build_time_config(setting: Json, measurement: Mapping[str, Any]) -> TimeConfig:
    """Return the config of a timing on the hardware that `measurement` names, where it is null on this host's.

    Raises:
        UserError: the executor is not installed, or this host's GPU is asked for and there is none.
    """
    host = _describe_host(setting["executor"], measurement["cpu"])
    if "device" in setting:
        host["gpu"] = measurement["gpu"] or _read_gpu_name()
    return TimeConfig(setting, host)


def build_execute_config(executor: str, dataset: Json, task: Json, cpu: str | None) -> ExecuteConfig:
    """Return the config of measuring quality under an executor on a processor; None is this host's."""
    images = CALIBRATION_IMAGES if executor == INT8_EXECUTOR else None
    return ExecuteConfig(executor, _describe_host(executor, cpu), dataset, task, images)


def is_timed(config: Mapping[str, Any]) -> bool:
    """Whether a point's figures depend on hardware: its executors, or a budget of latency."""
    budgets = [step.get("budget", {}) for step in config["compression"]]
    return bool(config["measurement"]["executors"]) or any(budget.get("quantity") == "latency" for budget in budgets)


def find_hardware(stage_config: Mapping[str, Any]) -> Json | None:
    """Return the hardware that a stage's result is for: processor, executor, GPU; None where any will do."""
    timing: Mapping[str, Any] = stage_config.get("time") or stage_config
    return timing.get("host")


def find_quantizer(executor: str) -> str | None:
    """Return what quantized the weights that an executor runs; None where they are those of the stored file."""
    return "onnxruntime" if executor == INT8_EXECUTOR else None


def check_int8_timing(config: Json) -> None:
    """Refuse to time, as a network of 8 bits, one whose method gives its weights fewer or other values.

    Raises:
        UserError: the point has such a method, and asks for the executor that calibrates weights anew.
    """
    if INT8_EXECUTOR not in config["measurement"]["executors"]:
        return
    for step in config["compression"]:
        deciders = {phase.get("decider") for phase in step["phases"]}
        if deciders & COARSE_DECIDERS or ("uniform" in deciders and _has_under_8_bits(step)):
            raise UserError(
                f"measurement.executors: {INT8_EXECUTOR} gives weights 8 bits by scales of its own,"
                f" another network than that of {step['method']}; leave one of them out (the other executors run the"
                " file's own values)"
            )


def _has_under_8_bits(step: Json) -> bool:
    """Whether a weight may get fewer than 8 bits."""
    # What a budget solves is not known yet, and may be anything.
    if step.get("budget", {}).get("knob") == "bits":
        return True
    bits: list[int] = [step["bits"], *(step.get("per_site") or {}).values()]
    return min(bits) < 8


def _read_gpu_name() -> str:
    name = find_gpu_name()
    if name is None:
        raise UserError(
            "measurement.device=gpu: this machine has no NVIDIA GPU; name that of another host with measurement.gpu"
        )
    return name


def _describe_host(executor: str, cpu: str | None) -> Json:
    package = "onnxruntime" if executor in EXPORTED_EXECUTORS else "torch"
    version = find_package_version(package)
    if version is None:
        raise UserError(f"measurement.executors: {executor} needs {package}, which is not installed")
    return {"cpu": cpu or read_cpu_model(), "executor": version}
