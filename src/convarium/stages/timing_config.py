"""What a time and an execution depend on: the executor with its version, and the host."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.host.provenance import read_cpu_model
from convarium.stages.execute import ExecuteConfig
from convarium.stages.time import TimeConfig

Json = dict[str, Any]
EAGER_EXECUTOR = "eager"
NVIDIA_DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
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


def build_time_config(setting: Json) -> TimeConfig:
    """Return the config of a timing on this host.

    Raises:
        UserError: the executor is not installed, or a GPU is asked for and there is none.
    """
    host = _describe_host(setting["executor"])
    if "device" in setting:
        host["gpu"] = _read_gpu_name()
    return TimeConfig(setting, host)


def build_execute_config(executor: str, dataset: Json, task: Json) -> ExecuteConfig:
    """Return the config of measuring quality under an executor on this host."""
    images = CALIBRATION_IMAGES if executor == INT8_EXECUTOR else None
    return ExecuteConfig(executor, _describe_host(executor), dataset, task, images)


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
    """Return the name of the first GPU.

    Raises:
        UserError: there is no NVIDIA GPU.
    """
    # Read from the driver's files: planning imports no torch, and nvidia-smi may not be installed.
    for file in sorted(NVIDIA_DRIVER_FOLDER.glob("*/information")):
        for line in file.read_text().splitlines():
            field, _, value = line.partition(":")
            if field == "Model":
                return value.strip()
    raise UserError("measurement.device=gpu: this machine has no NVIDIA GPU")


def _describe_host(executor: str) -> Json:
    package = "onnxruntime" if executor in EXPORTED_EXECUTORS else "torch"
    try:
        return {"cpu": read_cpu_model(), "executor": f"{package} {version(package)}"}
    except PackageNotFoundError:
        raise UserError(f"measurement.executors: {executor} needs {package}, which is not installed") from None
