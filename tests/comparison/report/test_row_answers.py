"""What rows answer to test images."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convarium.comparison.report import row_answers
from convarium.comparison.report.row_answers import SeedAnswers, build_row_answers
from convarium.comparison.report.shown_images import MAX_SIDE, encode_png_uri
from convarium.store.answers import ImageAnswers

LABELS = np.array([0, 0, 1, 1, 2])


def build_seed(predicted: list[int], losses: list[float], dense: list[int] | None) -> SeedAnswers:
    dense_answers = None if dense is None else ImageAnswers(LABELS, np.array(dense), np.full(5, 0.1))
    return SeedAnswers(ImageAnswers(LABELS, np.array(predicted), np.array(losses)), dense_answers)


def test_flips_are_listed_by_the_loss_that_they_add() -> None:
    first = build_seed([1, 0, 2, 1, 2], [3.1, 0.1, 1.1, 0.1, 0.1], [0, 0, 1, 1, 0])
    other = build_seed([0, 0, 2, 0, 2], [0.1, 0.1, 4.1, 0.6, 0.1], [0, 0, 1, 0, 2])
    answers = build_row_answers([first, other])
    assert answers is not None
    assert (answers["lost"], answers["gained"], answers["seeds"]) == (1.5, 0.5, 2)
    assert answers["costly"] == [
        {"image": 2, "label": 1, "answers": [2, 2], "dense": [1, 1], "cost": 2.5},
        {"image": 0, "label": 0, "answers": [1, 0], "dense": [0, 0], "cost": 1.5},
    ]
    assert answers["right"] == [[4, 3], [4, 1], [2, 2]]
    assert answers["confusions"] == [[1, 2, 2, 0], [1, 0, 1, 1], [0, 1, 1, 0], [2, 0, 0, 1]]


def test_without_dense_answers_the_costliest_are_the_wrong_ones() -> None:
    answers = build_row_answers([build_seed([0, 1, 1, 0, 2], [0, 0.5, 0, 2, 0], None)])
    assert answers is not None
    assert [costly["image"] for costly in answers["costly"]] == [3, 1]
    assert answers["lost"] is None
    assert answers["costly"][0]["dense"] is None


def test_without_answers_there_is_nothing() -> None:
    assert build_row_answers([]) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_becomes_a_small_png(channels: int) -> None:
    uri = encode_png_uri(np.zeros((200, 200, channels), dtype=np.uint8))
    assert uri.startswith("data:image/png;base64,")
    assert len(uri) < 500
    assert MAX_SIDE == 64


def test_seeds_measured_on_other_images_than_the_first_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = [ImageAnswers(LABELS[:size], LABELS[:size], np.zeros(size)) for size in (5, 3, 5)]
    found = iter(measured)
    monkeypatch.setattr(row_answers, "read_measurement_records", lambda *_: [{}])
    monkeypatch.setattr(row_answers, "_read_record_answers", lambda *_: next(found))
    results: Any = [SimpleNamespace(is_dense=True)] * 3
    store: Any = None
    assert [len(seed.answers.labels) for seed in row_answers.read_row_answers(results, store)] == [5, 5]


def test_the_report_has_the_answers_of_each_row(report: Path, read: Any) -> None:
    document = read(report)
    dense, _, pruned, *_ = document["rows"]
    assert dense["answers"]["costly"][0]["dense"] is None
    assert pruned["answers"]["lost"] == 10
    assert pruned["answers"]["confusions"][0][2] == pytest.approx(10, abs=2)
    (dataset,) = document["datasets"]
    assert dataset["problem"].startswith("the images can't be opened any more: ")
