"""Apply one step of a compression chain to the file its parent made."""

from collections.abc import Mapping
from typing import Any

from convarium.store.runtime import Parent, Runtime


def compress(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Run the phases of `own["step"]` on the parent's `network.cvm`, and write the result in the same format.

    Further parents are the networks the step refers to, in the order of the knobs' names.

    Raises:
        StageFailed: the loss is not a number any more.
        UserError: the method does not fit the network.
    """
    from convarium.compression.file import container
    from convarium.compression.phases import run

    path, *references = (parent.folder / "network.cvm" for parent in parents)
    file = container.read(path)
    network, coders = run(file, own, runtime, tuple(references))
    header = {key: file.header[key] for key in ("architecture", "task", "classes", "input", "surgery")}
    container.write(runtime.folder / "network.cvm", network, header, coders)
    return {"metrics": {}}
