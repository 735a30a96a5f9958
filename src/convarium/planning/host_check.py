"""What a run needs of this host, checked once before any worker starts: data that can be read, the accelerator."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError
from convarium.planning.plan import Node
from convarium.stages.declaration import makes_network

if TYPE_CHECKING:
    from convarium.config.override import Override

LOCAL_LAUNCHERS = ("local", "basic", "joblib")  # any other may start its workers on other hosts


def is_launched_here(launcher_overrides: Iterable["Override"]) -> bool:
    """Whether the launcher of a command line starts its workers on this host."""
    launchers = [override.value for override in launcher_overrides if override.key == "hydra/launcher"]
    return all(launcher in LOCAL_LAUNCHERS for launcher in launchers)


def check_host(nodes: Iterable[Node], cache_folder: Path) -> None:
    """Check that this host has what the nodes need; published data that are missing are downloaded.

    Raises:
        UserError: data is missing or damaged, or there is no accelerator of the kind asked for.
    """
    checked: list[tuple[Any, Any]] = []
    for node in nodes:
        if makes_network(node.stage):
            _check_accelerator(node.runtime.get("accelerator", "auto"))
        data = node.stage_config.get("dataset"), node.runtime.get("root")
        if data[0] is not None and data not in checked:
            checked.append(data)
            _check_data(*data, cache_folder)


def _check_data(dataset: dict[str, Any], root: str | None, cache_folder: Path) -> None:
    from convarium.datasets.loading import check_files

    # The files of a folder of images are looked at when the point is composed.
    if not dataset.get("class_names"):
        check_files(dataset, root, cache_folder)


def _check_accelerator(accelerator: str) -> None:
    import torch

    has_mps = torch.backends.mps.is_available()
    is_available = {"gpu": torch.cuda.is_available() or has_mps, "mps": has_mps}
    if not is_available.get(accelerator, True):
        raise UserError(
            f"runtime.accelerator={accelerator}: PyTorch finds none on this host; auto takes what there is, cpu none"
        )
