"""Accuracy by class, and its mean over classes."""

import pytest
import torch

from convarium.measurement.accuracy_by_class import compute_balanced_accuracy, count_correct_by_class
from convarium.measurement.quality import measure_file


def test_images_and_right_ones_are_counted_by_label():
    labels = torch.tensor([0, 0, 0, 2, 2, 0])
    correct = torch.tensor([True, False, True, True, False, True])
    assert count_correct_by_class(correct, labels, 4) == {"images": [4, 0, 2, 0], "right": [3, 0, 1, 0]}


def test_balanced_accuracy_is_the_mean_over_classes_that_have_images():
    assert compute_balanced_accuracy({"images": [90, 10, 0], "right": [90, 0, 0]}) == 0.5
    assert compute_balanced_accuracy({"images": [4, 2], "right": [3, 1]}) == pytest.approx((0.75 + 0.5) / 2)


def test_a_measurement_tells_every_class(sparse_file, dense_file, digits, task):
    found = measure_file(str(sparse_file), str(dense_file), digits, task, None)
    counts, metrics = found["per_class"], found["metrics"]
    assert sum(counts["images"]) == found["images"] == 300
    assert sum(counts["right"]) / 300 == pytest.approx(metrics["accuracy"])
    assert metrics["balanced_accuracy"] == compute_balanced_accuracy(counts)
    assert 0 <= metrics["validation_balanced_accuracy"] <= 1
    assert found["skipped"] == {}
