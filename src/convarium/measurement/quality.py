"""Quality and size of a compressed network, measured on its file alone.

`measure_file` runs in a fresh process (`runtime.run_fresh`), so it takes paths, never objects.
"""

import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convarium.architectures import factory
from convarium.compression.coverage import compute_site_coverage
from convarium.cost.network_cost import Cost, count_stored_bytes
from convarium.cvm.header import pack_file
from convarium.measurement.answer_recorder import AnswerRecorder
from convarium.measurement.image_quality import measure_image_quality
from convarium.measurement.measured_network import load_measured_images, read_measured_network
from convarium.store.answers import write_answers

Json = dict[str, Any]


def measure_file(
    path: str,
    dense_path: str | None,
    dataset: Mapping[str, Any],
    task: Mapping[str, Any],
    data_root: str | None,
    threads: int = 1,
    accelerator: str = "cpu",
    external_file: str | None = None,
    cache_folder: str | None = None,
    answers_file: str | None = None,
) -> Json:
    """Decode the network at `path` and measure it on `dataset`.

    Args:
        dense_path: the file of the comparison's dense network; None takes the size of this architecture's dense
            float32 file, and leaves `xz_bytes` None.
        data_root: the folder that holds the data.
        external_file: the same network in an external coder's file, whose size is measured instead; all of its bytes
            count as weights.
        cache_folder: the folder in which decoded images are kept.
        answers_file: where the class and the loss of each test image are written (`store.answers`).

    Returns:
        `metrics` (accuracy and loss on test; loss in nats; sizes in bytes; MACs of one image), `correct` (hex of
        np.packbits over the test images), `images` (of test), `per_class` (by label: how many test `images`, how many
        of them `right`), `bytes` by kind, which add up to `file_bytes`, `skipped` (by part: files left out),
        `coverage` and `uncovered`: the share of the dense network's weights that methods can work on, and the shares of
        the rest by type of layer.

    Raises:
        UserError: the file is damaged, or its network does not fit the dataset.
    """
    file, network = read_measured_network(path, dataset, task, threads, accelerator)
    header = file.header
    parts = ("validation", "test")
    (validation, test), skipped = load_measured_images(header, dataset, data_root, cache_folder, parts)
    recorder = AnswerRecorder()
    quality = measure_image_quality(network, test, dataset["classes"], recorder.add_batch)
    if answers_file:
        write_answers(Path(answers_file), recorder.build_answers(test.labels))
    validation_quality = measure_image_quality(network, validation, dataset["classes"])
    coverage = compute_site_coverage(factory.build_architecture(header["architecture"], "meta"))
    cost = Cost(network, header["input"]["shape"])
    file_bytes = Path(external_file or path).stat().st_size
    if dense_path:
        dense_bytes, xz_bytes = _measure_dense_file(Path(dense_path))
    else:
        dense_bytes, xz_bytes = _count_dense_bytes(header), None
    return {
        "metrics": {
            "accuracy": quality.accuracy,
            "validation_accuracy": validation_quality.accuracy,
            "balanced_accuracy": quality.balanced_accuracy,
            "validation_balanced_accuracy": validation_quality.balanced_accuracy,
            "loss": quality.loss,
            "file_bytes": file_bytes,
            "dense_bytes": dense_bytes,
            "ratio": dense_bytes / file_bytes,
            "xz_bytes": xz_bytes,
            "parameters": cost.parameters,
            "nonzeros": cost.nonzeros,
            "macs": cost.macs,
        },
        "correct": np.packbits(quality.correct.numpy()).tobytes().hex(),
        "images": len(quality.correct),
        "per_class": quality.per_class,
        "skipped": skipped,
        "coverage": coverage.share,
        "uncovered": coverage.other_shares,
        "bytes": {"weights": file_bytes} if external_file else file.bytes_by_kind,
    }


def _count_dense_bytes(header: Mapping[str, Any]) -> int:
    """Return the bytes of the architecture in a dense float32 file; they do not depend on the values."""
    network = factory.build_architecture(header["architecture"], "meta")
    return len(pack_file({**header, "surgery": []}, [], b"")) + count_stored_bytes(network)


def _measure_dense_file(path: Path) -> tuple[int, int]:
    """Return the bytes of a dense file, as it is and compressed by xz, a control that knows nothing of networks."""
    content = path.read_bytes()
    return len(content), len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
