"""A fake stage that trains: it reports what its accuracy is after each epoch, sleeps, and goes on from a checkpoint."""

import json
import time
from collections.abc import Mapping
from typing import Any

from convarium.workers.runtime import Parent, Runtime


def train(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Train for `own["epochs"]` epochs towards `own["best"]`, each of `own["seconds"]`."""
    checkpoint = runtime.checkpoint_folder / "state.json"
    epoch = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
    while epoch < own["epochs"]:
        time.sleep(own["seconds"])
        epoch += 1
        runtime.report(phase="fake", epoch=epoch, validation_accuracy=own["best"] * epoch / own["epochs"])
        runtime.check_lease()
        checkpoint.write_text(json.dumps(epoch))
        runtime.note_checkpoint()
    (runtime.folder / "network.cvm").write_text(str(own["best"]))
    return {"metrics": {"epochs": epoch}}
