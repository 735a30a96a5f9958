"""Provenance of a result: the host, the package versions and the source code that made it."""

import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from convarium.host.process import current_process

RECORDED_PACKAGES = ("convarium", "torch", "torchvision", "lightning", "timm", "numpy", "scikit-learn")
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


def collect_provenance() -> dict[str, Any]:
    """Return the host, the versions and the source code that this process runs with, as JSON."""
    process = current_process()
    return {
        "host": {
            "name": process.host,
            "boot": process.boot,
            "cpu": read_cpu_model(),
            "cores": count_cores(),
        },
        "versions": read_package_versions(),
        "git": read_git_state(),
        "source": hash_source(),
    }


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache
def read_cpu_model() -> str:
    """Return the processor's model, or its architecture where the model is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            _, _, model = line.partition(":")
            return model.strip()
    return platform.processor() or platform.machine()


@lru_cache
def read_package_versions() -> dict[str, str]:
    """Return the versions of Python and of those packages in RECORDED_PACKAGES that are installed."""
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@lru_cache
def hash_source() -> str:
    """Return 12 hexadecimal digits of the sha256 of the package's Python source."""
    digest = sha256()
    for path in sorted(PACKAGE_FOLDER.rglob("*.py")):
        module_path = path.relative_to(PACKAGE_FOLDER).as_posix()
        digest.update(module_path.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@lru_cache
def read_git_state() -> dict[str, str | None] | None:
    """Return the commit of the package's source code and a digest of its uncommitted changes; None outside a checkout.

    Returns:
        "sha": the commit's hash, and "dirty": 12 hexadecimal digits, None where nothing is changed.
    """
    # An installed package may lie in somebody else's checkout: it counts only where git tracks it.
    if _run_git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _run_git("rev-parse", "HEAD")
    difference = _run_git("diff", "HEAD", "--", ".")
    return {
        "sha": commit.decode().strip() if commit else None,
        "dirty": sha256(difference).hexdigest()[:12] if difference else None,
    }


def read_device_name() -> str:
    """Return the name of the device that a stage of this process computed on."""
    # Not imported: what has not loaded torch, or not initialised CUDA, has computed on the CPU.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return "cpu"


def reset_peak_memory() -> None:
    """Begin a new measurement of peak memory, where Linux lets a process do so."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # 5 resets VmHWM, see proc_pid_clear_refs(5)


def measure_peak_memory_bytes() -> int:
    """Return the most memory that this process has held since `reset_peak_memory`, or since its start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    unit_bytes = 1 if sys.platform == "darwin" else 1024  # macOS gives bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes


def _run_git(*arguments: str) -> bytes | None:
    """Return what a git command in the package's folder prints, None where it fails or there is no git."""
    command = ["git", "-C", str(PACKAGE_FOLDER), *arguments]
    try:
        process = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.stdout if process.returncode == 0 else None
