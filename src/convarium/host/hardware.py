"""Hardware by name: what this process has of it, and whether a result that is for some can be made here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from convarium.host.devices import Gpu, find_gpu_name
from convarium.host.provenance import read_cpu_model

EXECUTOR_PACKAGES = ("torch", "onnxruntime")


@dataclass(frozen=True)
class Hardware:
    """What a process runs on.

    Attributes:
        cpu: the processor's model.
        gpu: the name of its first GPU, None where it has none.
        executors: the packages that run networks, such as "torch 2.14.1".
    """

    cpu: str
    gpu: str | None
    executors: tuple[str, ...]

    def fits(self, wanted: Mapping[str, str] | None) -> bool:
        """Whether a result can be made here that is for this processor, executor and, if any, GPU; None fits all."""
        return wanted is None or (
            wanted["cpu"] == self.cpu
            and wanted["executor"] in self.executors
            and ("gpu" not in wanted or wanted["gpu"] == self.gpu)
        )

    def describe(self, wanted: Mapping[str, str]) -> str:
        """Return in words what there is here of each thing that is wanted."""
        package, _, _ = wanted["executor"].partition(" ")
        executor = next((text for text in self.executors if text.startswith(f"{package} ")), f"no {package}")
        gpu = [self.gpu or "no GPU"] if "gpu" in wanted else []
        return ", ".join([*gpu, self.cpu, executor])


def read_hardware(gpus: Sequence[Gpu] = ()) -> Hardware:
    """Return what this process runs on.

    Args:
        gpus: those that it is going to use; without them the first that it may use counts.
    """
    versions = [find_package_version(package) for package in EXECUTOR_PACKAGES]
    executors = tuple(executor for executor in versions if executor is not None)
    return Hardware(read_cpu_model(), gpus[0].name if gpus else find_gpu_name(), executors)


def parse_hardware(values: Any) -> Hardware | None:
    """Return what `dataclasses.asdict` made JSON of, None where it is something else."""
    try:
        return Hardware(values["cpu"], values["gpu"], tuple(values["executors"]))
    except (KeyError, TypeError):
        return None


def describe_wanted(wanted: Mapping[str, str]) -> str:
    """Return in words the hardware that a result is for, as `Hardware.describe` does."""
    return ", ".join(wanted[key] for key in ("gpu", "cpu", "executor") if key in wanted)


def find_package_version(package: str) -> str | None:
    """Return an installed package with its version, such as "torch 2.14.1"; None where it is not installed."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None
