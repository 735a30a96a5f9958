"""What a run needs of the hosts that it is planned and made on: data that can be read, accelerators, names of hardware.

What this host must have is checked before any worker starts, where workers run here, and by each worker elsewhere.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError
from convarium.host.devices import list_gpus
from convarium.host.process import current_process
from convarium.noun_count import format_noun_count
from convarium.planning.plan import Node
from convarium.stages.declaration import makes_network
from convarium.stages.timing_config import is_timed
from convarium.store.signature import canonical_json

if TYPE_CHECKING:
    from convarium.config.override import Override

LOCAL_LAUNCHERS = ("local", "basic", "joblib")  # any other may start its workers on other hosts


def is_launched_here(launcher_overrides: Iterable["Override"]) -> bool:
    """Whether the launcher of a command line starts its workers on this host."""
    launchers = [override.value for override in launcher_overrides if override.key == "hydra/launcher"]
    return all(launcher in LOCAL_LAUNCHERS for launcher in launchers)


def check_hardware_named(configs: Iterable[Mapping[str, Any]], launcher_overrides: Sequence["Override"]) -> None:
    """Check that what is timed says on which hardware, unless all workers start on this host.

    Raises:
        UserError: a point that is timed leaves the processor open, or the GPU that it is timed on.
    """
    if is_launched_here(launcher_overrides):
        return
    for measurement in (config["measurement"] for config in configs if is_timed(config)):
        for key in ("cpu", "gpu") if measurement["device"] == "gpu" else ("cpu",):
            if measurement[key] is None:
                launcher = " ".join(launcher_overrides)
                raise UserError(
                    f"measurement.{key}=null is this host's, and {launcher} starts workers on others; name theirs, as"
                    f" convarium plan prints it there"
                )


def check_host(nodes: Sequence[Node], cache_folder: Path) -> None:
    """Check that this host has what the nodes need; published data that are missing are downloaded.

    Where other data are there, what is missing is said on stderr, and the run goes on with the others.

    Raises:
        UserError: all data are missing or damaged, or there is no accelerator of the kind asked for.
    """
    for node in nodes:
        if makes_network(node.stage):
            check_accelerator(node.runtime.get("accelerator", "auto"))
    datasets = _list_datasets(nodes)
    errors = [error for data in datasets if (error := _find_data_error(*data, cache_folder)) is not None]
    if errors and len(errors) == len(datasets):
        raise errors[0]
    for error in errors:
        print(f"convarium: {error}; the run goes on with other data", file=sys.stderr)


def check_devices(devices: int) -> None:
    """Check that this host has as many GPUs as each worker is to have, unless it has none at all.

    Raises:
        UserError: it has fewer.
    """
    gpu_count = len(list_gpus())
    if 0 < gpu_count < devices:
        gpus = format_noun_count(gpu_count, "GPU")
        raise UserError(f"runtime.devices={devices}: {current_process().host} has {gpus}")


def check_accelerator(accelerator: str) -> None:
    """Check that PyTorch finds an accelerator of the kind that is asked for on this host.

    Raises:
        UserError: it finds none.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    is_available = {"gpu": torch.cuda.is_available() or has_mps, "mps": has_mps}
    if not is_available.get(accelerator, True):
        raise UserError(
            f"runtime.accelerator={accelerator}: PyTorch finds none on {current_process().host}; auto takes what there"
            " is, cpu none"
        )


def _list_datasets(nodes: Iterable[Node]) -> list[tuple[dict[str, Any], str | None]]:
    """Return each dataset once, without what the same files serve for, and the folder that it is read from."""
    datasets: dict[str, tuple[dict[str, Any], str | None]] = {}
    for node in nodes:
        dataset, root = node.stage_config.get("dataset"), node.runtime.get("root")
        if dataset is not None:
            datasets.setdefault(canonical_json([dataset["name"], dataset.get("fingerprint"), root]), (dataset, root))
    return list(datasets.values())


def _find_data_error(dataset: dict[str, Any], root: str | None, cache_folder: Path) -> UserError | None:
    from convarium.datasets.loading import check_files

    # The files of a folder of images are looked at when the point is composed.
    if dataset.get("class_names"):
        return None
    try:
        check_files(dataset, root, cache_folder)
    except UserError as error:
        return error
    return None
