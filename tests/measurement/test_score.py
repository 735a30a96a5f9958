"""What a search chooses by: the figures that `measure` has too, without a look at a test image."""

import json

import numpy as np
import pytest
import torch

import convarium
from convarium.datasets import loading
from convarium.datasets.loading import load_splits
from convarium.datasets.splits import RawImages
from convarium.errors import UserError
from convarium.measurement.quality import measure_file
from convarium.measurement.score import score_file
from convarium.search.measures import SCORED_METRICS
from convarium.stages.score import ScoreConfig, score


@pytest.fixture
def scored(sparse_file, dense_file, digits, task):
    return score_file(str(sparse_file), str(dense_file), digits, task, None)


def test_a_score_has_the_figures_of_a_measurement_to_the_last_bit(scored, sparse_file, dense_file, digits, task):
    measured = measure_file(str(sparse_file), str(dense_file), digits, task, None)["metrics"]
    assert tuple(scored["metrics"]) == SCORED_METRICS
    shared = {name: measured[name] for name in SCORED_METRICS if name in measured}
    assert set(SCORED_METRICS) - set(shared) == {"validation_loss"}
    assert {name: scored["metrics"][name] for name in shared} == shared


def test_its_loss_is_that_of_the_validation_images(scored, sparse_file, digits):
    validation = load_splits(digits, None, ("validation",)).validation
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(convarium.load(sparse_file)(validation.images), validation.labels)
    assert scored["metrics"]["validation_loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_no_test_image_is_read_and_none_leaves_a_figure(scored, sparse_file, dense_file, digits, task, monkeypatch):
    read = loading._read_parts
    asked = []

    def note(dataset, root, parts, cache):
        asked.append(parts)
        return read(dataset, root, parts, cache)

    monkeypatch.setattr(loading, "_read_parts", note)
    assert score_file(str(sparse_file), str(dense_file), digits, task, None) == scored
    assert asked == [("validation",)]
    assert set(scored) == {"metrics", "skipped"}
    assert json.loads(json.dumps(scored, allow_nan=False)) == scored


def test_other_test_images_change_nothing_that_a_trial_is_told(
    scored, sparse_file, dense_file, digits, task, monkeypatch
):
    read = loading._read_parts

    def relabel(dataset, root, parts, cache):
        pixels = dict(read(dataset, root, parts, cache))
        if "test" in pixels:
            pixels["test"] = RawImages(pixels["test"].images, (pixels["test"].labels + 1) % 10)
        return pixels

    monkeypatch.setattr(loading, "_read_parts", relabel)
    measured = measure_file(str(sparse_file), str(dense_file), digits, task, None)["metrics"]
    assert score_file(str(sparse_file), str(dense_file), digits, task, None) == scored
    assert measured["validation_accuracy"] == scored["metrics"]["validation_accuracy"]


def test_the_bytes_are_those_of_another_coders_file_where_there_is_one(sparse_file, dense_file, digits, task, tmp_path):
    outside = tmp_path / "network.outside"
    outside.write_bytes(bytes(77))
    metrics = score_file(str(sparse_file), str(dense_file), digits, task, None, external_file=str(outside))["metrics"]
    assert (metrics["file_bytes"], metrics["ratio"]) == (77, dense_file.stat().st_size / 77)


def test_the_stage_scores_in_another_process(sparse_network, parents, runtime, digits, task, scored, monkeypatch):
    """Everything that lives in the training process is broken; only the file is whole."""
    with torch.no_grad():
        for parameter in sparse_network.parameters():
            parameter.fill_(float("nan"))
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, images: images * 0)
    assert score(ScoreConfig(digits, task), parents, runtime) == scored
    assert not (runtime.folder / "answers.npz").exists()
    assert np.isfinite(list(scored["metrics"].values())).all()


@pytest.mark.parametrize("validation", [None, (0, 8)])
def test_without_validation_images_there_is_nothing_to_choose_by(
    validation, sparse_file, dense_file, digits, task, monkeypatch
):
    def read(dataset, root, parts):
        if validation is None:
            return {}
        return {"validation": RawImages(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64))}

    monkeypatch.setattr(loading, "find_by_name", lambda *_: read)
    told = "must return a mapping with validation" if validation is None else "validation has no images"
    with pytest.raises(UserError, match=f"^dataset digits: .*{told}"):
        score_file(str(sparse_file), str(dense_file), digits, task, None)
