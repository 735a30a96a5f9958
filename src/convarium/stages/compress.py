"""Apply one step of a compression chain to the file its parent made."""

from collections.abc import Mapping
from typing import Any

from convarium.store.runtime import Parent, Runtime


def compress(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Run the phases of `own["step"]` on the parent's `network.cvm`, and write the result in the same format.

    Further parents are the networks the step refers to, named by `own["references"]`.

    Raises:
        StageFailed: the loss is not a number any more.
        UserError: the method does not fit the network.
    """
    from convarium.compression.file import container
    from convarium.compression.phases import run

    path, *others = (parent.folder / "network.cvm" for parent in parents)
    file = container.read(path)
    own = {**own, "dataset": _as_trained(own["dataset"], file.header)}
    work = run(file, own, runtime, dict(zip(own["references"], others, strict=True)))
    header = {key: file.header[key] for key in ("architecture", "task", "classes", "input")}
    container.write(runtime.folder / "network.cvm", work.network, {**header, "surgery": work.surgery}, work.coders)
    if work.outside is not None:
        (runtime.folder / "network.outside").write_bytes(work.outside)
    return {"metrics": {}, "solved": work.solved}


def _as_trained(dataset: Mapping[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dataset with the normalisation that the network was trained with: adopted ones have their own."""
    from convarium.datasets import scaled_for

    given = header["input"]
    return {**scaled_for(header, dataset), "mean": given["mean"], "std": given["std"]}
