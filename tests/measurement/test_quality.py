"""Figures come from the file, and from nothing else."""

import json
import lzma

import numpy as np
import pytest
import torch

import convarium
from convarium.comparison.statistics import unpack_correctness
from convarium.cost.macs import count_macs
from convarium.datasets.loading import load_splits
from convarium.errors import UserError
from convarium.measurement.quality import measure_file
from convarium.stages.measure import MeasureConfig, measure
from convarium.store.answers import read_answers


@pytest.fixture
def measured(sparse_file, dense_file, digits, task):
    return measure_file(str(sparse_file), str(dense_file), digits, task, None)


def test_quality_is_what_the_loaded_network_does_on_test_images(measured, sparse_file, digits):
    splits = load_splits(digits, None, ("validation", "test"))
    network = convarium.load(sparse_file)
    with torch.no_grad():
        correct = network(splits.test.images).argmax(1) == splits.test.labels
        validation = network(splits.validation.images).argmax(1) == splits.validation.labels
        loss = torch.nn.functional.cross_entropy(network(splits.test.images), splits.test.labels)
    metrics = measured["metrics"]
    assert metrics["accuracy"] == pytest.approx(correct.double().mean().item())
    assert metrics["validation_accuracy"] == pytest.approx(validation.double().mean().item())
    assert metrics["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert measured["images"] == 300
    assert unpack_correctness(measured["correct"], 300).tolist() == correct.double().tolist()


def test_bytes_are_those_on_disk_and_add_up_by_kind(measured, sparse_file, dense_file):
    metrics, size = measured["metrics"], sparse_file.stat().st_size
    assert metrics["file_bytes"] == sum(measured["bytes"].values()) == size
    assert metrics["dense_bytes"] == dense_file.stat().st_size
    assert metrics["ratio"] == dense_file.stat().st_size / size
    assert metrics["xz_bytes"] == len(lzma.compress(dense_file.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    assert measured["bytes"]["indices"] > 0
    assert measured["bytes"]["biases"] == 4 * 42


def test_parameters_nonzeros_and_macs_are_counted_by_hand(measured):
    metrics = measured["metrics"]
    assert metrics["parameters"] == 64 * 32 + 32 + 32 * 10 + 10
    assert metrics["nonzeros"] == 100 + 32 + 32 * 10 + 10
    assert metrics["macs"] == 64 * 32 + 32 * 10


def test_the_result_is_json(measured):
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured


def test_a_file_without_its_dense_one_is_compared_with_its_architecture(sparse_file, dense_file, digits, task):
    metrics = measure_file(str(sparse_file), None, digits, task, None)["metrics"]
    assert metrics["dense_bytes"] == dense_file.stat().st_size
    assert metrics["xz_bytes"] is None


def test_images_are_normalised_as_the_file_says(write, network, dense_file, digits, task):
    weight = next(p for p in network.parameters() if p.dim() == 2)
    bias = next(p for p in network.parameters() if p.dim() == 1)
    with torch.no_grad():  # the same function for images in 0..1 instead of normalised ones
        bias -= weight.sum(1) * 0.30513625 / 0.37596626
        weight /= 0.37596626
    raw = write("raw", network, input={"shape": [1, 8, 8], "mean": [0.0], "std": [1.0]})
    one, other = (measure_file(str(path), None, digits, task, None) for path in (dense_file, raw))
    assert other["metrics"]["loss"] == pytest.approx(one["metrics"]["loss"], rel=1e-4)
    assert other["metrics"]["accuracy"] == pytest.approx(one["metrics"]["accuracy"], abs=0.01)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"classes": 7}, "has 10 classes"),
        ({"img_size": 16}, "takes images of 1x8x8"),
        ({"channels": 3}, "takes images of 1x8x8"),
    ],
)
def test_a_dataset_that_does_not_fit_is_the_users_mistake(sparse_file, digits, task, change, told):
    with pytest.raises(UserError, match=told):
        measure_file(str(sparse_file), None, digits | change, task, None)


def test_a_damaged_file_is_the_users_mistake(sparse_file, digits, task):
    data = bytearray(sparse_file.read_bytes())
    data[-40] ^= 1
    sparse_file.write_bytes(data)
    with pytest.raises(UserError, match="digest"):
        measure_file(str(sparse_file), None, digits, task, None)


def test_the_stage_sees_no_damage_to_the_training_object(
    sparse_network, parents, runtime, digits, task, measured, monkeypatch
):
    """Everything that lives in the training process is broken; only the file is whole."""
    with torch.no_grad():
        for parameter in sparse_network.parameters():
            parameter.fill_(float("nan"))
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, images: images * 0)
    monkeypatch.setattr(
        "convarium.datasets.loading.load_splits", lambda *_: pytest.fail("measured in the process that trains")
    )
    assert measure(MeasureConfig(digits, task), parents, runtime) == measured


def test_the_stage_keeps_the_answers_that_its_figures_are_of(parents, runtime, digits, task):
    result = measure(MeasureConfig(digits, task), parents, runtime)
    answers = read_answers(runtime.folder / "answers.npz")
    assert (answers.predicted == answers.labels).tolist() == unpack_correctness(result["correct"], 300).tolist()
    assert answers.losses.mean() == pytest.approx(result["metrics"]["loss"], rel=1e-3)


def test_macs_of_a_convolution_are_those_of_the_textbook():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1), torch.nn.BatchNorm2d(8))
    assert count_macs(network, (3, 16, 16)) == 8 * 8 * 8 * 3 * 9
    assert next(network.parameters()).device.type == "cpu"


def test_every_figure_repeats(measured, sparse_file, dense_file, digits, task):
    again = measure_file(str(sparse_file), str(dense_file), digits, task, None)
    assert again == measured
    assert np.isfinite(measured["metrics"]["loss"])
