"""Apply one step of a compression chain to the file its parent made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.workers.runtime import Parent, Runtime


@dataclass(frozen=True)
class CompressConfig(StageConfig):
    """What one step of a chain depends on, apart from the networks that are its parents.

    Attributes:
        step: the method's knobs.
        recipe: without its epochs: phases have their own.
        seed: of the step, derived from the point's seed and the step's position.
        references: the step's knobs that name further parents, in the parents' order.
        following: the steps after this one, where the step solves a budget.
        time: the config of a timing, where the budget is one of latency.
    """

    step: dict[str, Any]
    dataset: dict[str, Any]
    task: dict[str, Any]
    recipe: dict[str, Any]
    seed: int
    references: list[str]
    following: list[dict[str, Any]] | None = None
    time: dict[str, Any] | None = None


STAGE = StageDeclaration("compress", version=2, config=CompressConfig, makes_network=True)


def compress(config: CompressConfig, parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Run the phases of a step on the first parent's `network.cvm`, and write the result in the same format.

    Further parents are the networks that `config.references` names, in the same order.

    Raises:
        StageFailed: the loss is not a number any more.
        UserError: the method does not fit the network.
    """
    from convarium.compression.run_phases import run_all_phases
    from convarium.cvm import container

    path, *reference_paths = (parent.files.network for parent in parents)
    file = container.read_cvm(path)
    references = dict(zip(config.references, reference_paths, strict=True))
    stage_config = config.to_json() | {"dataset": _use_trained_normalisation(config.dataset, file.header)}
    state = run_all_phases(file, stage_config, runtime, references)
    header = {key: file.header[key] for key in ("architecture", "task", "classes", "input")}
    container.write_cvm(runtime.files.network, state.network, {**header, "surgery": state.surgery}, state.coders)
    if state.external_bytes is not None:
        runtime.files.external_network.write_bytes(state.external_bytes)
    return {"metrics": {}, "solved": state.solved_knobs}


def _use_trained_normalisation(dataset: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dataset with the normalisation that the network was trained with: adopted ones have their own."""
    from convarium.datasets.loading import match_value_range

    mean, std = header["input"]["mean"], header["input"]["std"]
    return {**match_value_range(header, dataset), "mean": mean, "std": std}
