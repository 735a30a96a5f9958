"""What the networks of a row answer to test images: which classes they confuse, and the images that cost most."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.comparison.report.row_details import read_measurement_records
from convarium.comparison.result import NetworkResult
from convarium.comparison.timings import find_dense_record
from convarium.store.answers import ImageAnswers, read_answers
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store

Json = dict[str, Any]
COSTLY_IMAGES_PER_ROW = 12
MAX_CONFUSIONS = 2_000  # pairs of classes of a row; a report of 1,000 classes would otherwise be megabytes
SIGNIFICANT_DIGITS = 3


@dataclass(frozen=True)
class SeedAnswers:
    """A seed's answers, and those of the dense network that it is compared with; None where these were not kept."""

    answers: ImageAnswers
    dense: ImageAnswers | None


def read_row_answers(results: Iterable[NetworkResult], store: Store) -> list[SeedAnswers]:
    """Return the answers of those seeds of a row that have some.

    A dense network is compared with none. All are answers to the same images, those of the first seed.
    """
    row_answers = []
    for result in results:
        for record in read_measurement_records(result, store, "measure"):
            answers = _read_record_answers(record, store)
            dense = None
            if not result.is_dense:
                dense = _read_record_answers(find_dense_record(record, result.dense_signature, store), store)
            if answers is not None:
                row_answers.append(SeedAnswers(answers, _check_same_images(dense, answers)))
    # The audit names rows whose seeds were measured on different images.
    return [seed for seed in row_answers if _check_same_images(seed.answers, row_answers[0].answers)]


def build_row_answers(seeds: Sequence[SeedAnswers]) -> Json | None:
    """Return what the page shows of a row's answers; None where the row was measured before answers were kept.

    Returns:
        `seeds`, how many have answers; `right`, by class: test images of all these seeds, and the right ones of them;
        `confusions` (class, answer, images, those of the dense networks or None), the most frequent first; `lost` and
        `gained`, means over seeds of the images that only the dense network or only this one has right; `costly`, the
        images that cost most.
    """
    if not seeds:
        return None
    is_compared = all(seed.dense is not None for seed in seeds)
    lost = [_find_lost(seed.dense, seed.answers) for seed in seeds if seed.dense is not None]
    gained = [_find_lost(seed.answers, seed.dense) for seed in seeds if seed.dense is not None]
    return {
        "seeds": len(seeds),
        "right": _count_right_by_class(seeds),
        "confusions": _count_confusions(seeds, is_compared),
        "lost": float(np.mean([len(images) for images in lost])) if is_compared else None,
        "gained": float(np.mean([len(images) for images in gained])) if is_compared else None,
        "costly": _list_costly_images(seeds, is_compared),
    }


def _read_record_answers(record: Mapping[str, Any] | None, store: Store) -> ImageAnswers | None:
    folder = store.find_folder(record["signature"]) if record else None
    return read_answers(ResultFolder(folder).answers) if folder else None


def _check_same_images(dense: ImageAnswers | None, answers: ImageAnswers) -> ImageAnswers | None:
    return dense if dense is not None and np.array_equal(dense.labels, answers.labels) else None


def _find_lost(before: ImageAnswers, after: ImageAnswers) -> NDArray[Any]:
    """Return the indices of the images that `before` has right and `after` has wrong."""
    return np.flatnonzero((before.predicted == before.labels) & (after.predicted != after.labels))


def _count_right_by_class(seeds: Sequence[SeedAnswers]) -> list[list[int]]:
    classes = 1 + max(int(max(seed.answers.labels.max(), seed.answers.predicted.max())) for seed in seeds)
    counts = np.zeros((classes, 2), dtype=np.int64)
    for seed in seeds:
        labels = seed.answers.labels
        counts[:, 0] += np.bincount(labels, minlength=classes)
        counts[:, 1] += np.bincount(labels[seed.answers.predicted == labels], minlength=classes)
    return [[int(images), int(right)] for images, right in counts]


def _count_confusions(seeds: Sequence[SeedAnswers], is_compared: bool) -> list[list[int | None]]:
    counts: Counter[tuple[int, int]] = Counter()
    dense_counts: Counter[tuple[int, int]] = Counter()
    for seed in seeds:
        counts.update(_list_wrong_pairs(seed.answers))
        if seed.dense is not None:
            dense_counts.update(_list_wrong_pairs(seed.dense))
    pairs = sorted({*counts, *dense_counts}, key=lambda pair: (-counts[pair], -dense_counts[pair], pair))
    return [[*pair, counts[pair], dense_counts[pair] if is_compared else None] for pair in pairs[:MAX_CONFUSIONS]]


def _list_wrong_pairs(answers: ImageAnswers) -> list[tuple[int, int]]:
    """Return (class, answer) of each image that is wrong."""
    is_wrong = answers.predicted != answers.labels
    return list(zip(answers.labels[is_wrong].tolist(), answers.predicted[is_wrong].tolist(), strict=True))


def _list_costly_images(seeds: Sequence[SeedAnswers], is_compared: bool) -> list[Json]:
    """Return the images on which compression costs most: the loss that it adds, over the seeds that it makes wrong.

    Where there is no dense network to compare with, the cost is the loss of the wrong answers.
    """
    costs: Counter[int] = Counter()
    for seed in seeds:
        losses = seed.answers.losses
        if is_compared and seed.dense is not None:
            images = _find_lost(seed.dense, seed.answers)
            losses = losses - seed.dense.losses
        else:
            images = np.flatnonzero(seed.answers.predicted != seed.answers.labels)
        for image, cost in zip(images.tolist(), np.nan_to_num(losses[images]).tolist(), strict=True):
            costs[image] += cost
    costliest = sorted(costs, key=lambda image: (-costs[image], image))[:COSTLY_IMAGES_PER_ROW]
    return [_describe_costly_image(image, costs[image] / len(seeds), seeds, is_compared) for image in costliest]


def _describe_costly_image(image: int, cost: float, seeds: Sequence[SeedAnswers], is_compared: bool) -> Json:
    dense = [int(seed.dense.predicted[image]) for seed in seeds if seed.dense is not None]
    return {
        "image": image,
        "label": int(seeds[0].answers.labels[image]),
        "answers": [int(seed.answers.predicted[image]) for seed in seeds],
        "dense": dense if is_compared else None,
        "cost": float(f"{cost:.{SIGNIFICANT_DIGITS}g}"),
    }
