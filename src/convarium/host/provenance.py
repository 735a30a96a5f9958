"""What a result was made by, and on what."""

import os
import platform
import resource
import subprocess
import sys
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from convarium.host.process import current_process

RECORDED_PACKAGES = ("convarium", "torch", "torchvision", "lightning", "timm", "numpy", "scikit-learn")
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


def collect_provenance() -> dict[str, Any]:
    """Return the host, the versions and the source that this process runs with, as JSON."""
    return {
        "host": {
            "name": current_process().host,
            "boot": current_process().boot,
            "cpu": read_cpu_model(),
            "cores": count_cores(),
        },
        "versions": read_package_versions(),
        "git": read_git_state(),
        "source": hash_source(),
    }


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@lru_cache
def read_cpu_model() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@lru_cache
def read_package_versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that figures depend on."""
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@lru_cache
def hash_source() -> str:
    """Return 12 hexadecimal digits of the sha256 of the package's Python source."""
    digest = sha256()
    for path in sorted(PACKAGE_FOLDER.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE_FOLDER).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@lru_cache
def read_git_state() -> dict[str, str | None] | None:
    """Return the commit of the package's source and a digest of what differs from it; None outside a checkout."""
    if _run_git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    sha, difference = _run_git("rev-parse", "HEAD"), _run_git("diff", "HEAD", "--", ".")
    dirty = sha256(difference).hexdigest()[:12] if difference else None
    return {"sha": sha.decode().strip() if sha else None, "dirty": dirty}


def read_device_name() -> str:
    """Return the name of the device a stage of this process computed on."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return "cpu"


def reset_peak_memory() -> None:
    """Begin a new measurement of peak memory, where Linux lets a process do so."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def measure_peak_memory_bytes() -> int:
    """Return the most memory this process has held since `reset_peak_memory`, or since its start."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _run_git(*arguments: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE_FOLDER), *arguments], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
