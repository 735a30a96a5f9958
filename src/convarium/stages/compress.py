"""Apply one step of a compression chain to the file its parent made."""

from collections.abc import Mapping
from typing import Any

from convarium.workers.runtime import Parent, Runtime


def compress(stage_config: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Run the phases of `own["step"]` on the parent's `network.cvm`, and write the result in the same format.

    Further parents are the networks the step refers to, named by `own["references"]`.

    Raises:
        StageFailed: the loss is not a number any more.
        UserError: the method does not fit the network.
    """
    from convarium.compression.run_phases import run_all_phases
    from convarium.cvm import container

    path, *others = (parent.folder / "network.cvm" for parent in parents)
    file = container.read_cvm(path)
    stage_config = {**stage_config, "dataset": _use_trained_normalisation(stage_config["dataset"], file.header)}
    work = run_all_phases(file, stage_config, runtime, dict(zip(stage_config["references"], others, strict=True)))
    header = {key: file.header[key] for key in ("architecture", "task", "classes", "input")}
    container.write_cvm(runtime.folder / "network.cvm", work.network, {**header, "surgery": work.surgery}, work.coders)
    if work.external_bytes is not None:
        (runtime.folder / "network.outside").write_bytes(work.external_bytes)
    return {"metrics": {}, "solved": work.solved_knobs}


def _use_trained_normalisation(dataset: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dataset with the normalisation that the network was trained with: adopted ones have their own."""
    from convarium.datasets.loading import match_value_range

    given = header["input"]
    return {**match_value_range(header, dataset), "mean": given["mean"], "std": given["std"]}
