"""The figures by which a search chooses: those of a network's file, and its quality on the validation images alone.

`score_file` runs in a fresh process (`runtime.run_fresh`), so it takes paths, never objects.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.cost.network_cost import Cost
from convarium.measurement.image_quality import measure_image_quality
from convarium.measurement.measured_network import load_measured_images, read_measured_network

Json = dict[str, Any]


def score_file(
    path: str,
    dense_path: str,
    dataset: Mapping[str, Any],
    task: Mapping[str, Any],
    data_root: str | None,
    threads: int = 1,
    accelerator: str = "cpu",
    external_file: str | None = None,
    cache_folder: str | None = None,
) -> Json:
    """Decode the network at `path` and measure it on the validation images of `dataset`; no test image is read.

    Args:
        dense_path: the file of the dense network, for the ratio.
        data_root: the folder that holds the data.
        external_file: the same network in an external coder's file, whose size is measured instead.
        cache_folder: the folder in which decoded images are kept.

    Returns:
        `metrics` (validation accuracies and loss, in nats; bytes of the file; ratio; MACs of one image) and `skipped`
        (by part: files left out). Each figure that `measurement.quality.measure_file` has too is the same there.

    Raises:
        UserError: the file is damaged, its network does not fit the dataset, or there are no validation images.
    """
    file, network = read_measured_network(path, dataset, task, threads, accelerator)
    (validation,), skipped = load_measured_images(file.header, dataset, data_root, cache_folder, ("validation",))
    quality = measure_image_quality(network, validation, dataset["classes"])
    cost = Cost(network, file.header["input"]["shape"])
    file_bytes = Path(external_file or path).stat().st_size
    return {
        "metrics": {
            "validation_accuracy": quality.accuracy,
            "validation_balanced_accuracy": quality.balanced_accuracy,
            "validation_loss": quality.loss,
            "file_bytes": file_bytes,
            "ratio": Path(dense_path).stat().st_size / file_bytes,
            "parameters": cost.parameters,
            "nonzeros": cost.nonzeros,
            "macs": cost.macs,
        },
        "skipped": skipped,
    }
