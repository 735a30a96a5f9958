"""Answers to test images, in a file beside the record."""

from pathlib import Path

import numpy as np
import pytest

from convarium.store.answers import ImageAnswers, read_answers, write_answers


@pytest.fixture
def answers() -> ImageAnswers:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 1000, 10_000)
    return ImageAnswers(labels, np.where(labels % 4, labels, 999 - labels), generator.exponential(1, 10_000))


def test_answers_come_back_and_take_little_room(tmp_path: Path, answers: ImageAnswers) -> None:
    write_answers(tmp_path / "answers.npz", answers)
    found = read_answers(tmp_path / "answers.npz")
    assert found is not None
    assert np.array_equal(found.labels, answers.labels)
    assert np.array_equal(found.predicted, answers.predicted)
    assert found.losses == pytest.approx(answers.losses, rel=1e-3, abs=1e-6)
    assert (tmp_path / "answers.npz").stat().st_size < 60_000


def test_equal_answers_are_equal_bytes(tmp_path: Path, answers: ImageAnswers) -> None:
    for name in ("one.npz", "other.npz"):
        write_answers(tmp_path / name, answers)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()


def test_a_loss_beyond_16_bits_stays_a_number(tmp_path: Path) -> None:
    write_answers(tmp_path / "a.npz", ImageAnswers(np.array([0]), np.array([1]), np.array([1e9])))
    found = read_answers(tmp_path / "a.npz")
    assert found is not None
    assert np.isfinite(found.losses).all()


@pytest.mark.parametrize("content", [None, b"", b"PK", b"no archive"])
def test_what_is_missing_or_damaged_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "answers.npz").write_bytes(content)
    assert read_answers(tmp_path / "answers.npz") is None
