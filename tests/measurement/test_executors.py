"""Executors run the same network: the file itself in PyTorch, or a model that was made of it in onnxruntime."""

import pytest
import torch

from convarium.datasets.loading import load_splits
from convarium.errors import ProgramNotInstalled, UserError
from convarium.measurement import execution, executor_models, latency
from convarium.measurement.execution import execute_file
from convarium.measurement.executors.executor_requirements import require_installed
from convarium.portable.onnx_session import load_onnx_runner
from convarium.store.result_folder import ResultFolder

IMAGES = executor_models.make_noise_images([1, 8, 8], 16)


def settings(executor, batch=1):
    return {"executor": executor, "batch": batch, "threads": 1}


@pytest.fixture
def short_turns(monkeypatch):
    monkeypatch.setattr(latency, "MIN_TURN_SECONDS", 0.001)


@pytest.fixture
def test_images(digits):
    return load_splits(digits, None, ("test",)).test


@pytest.fixture
def executed(digits, task, dense_file, tmp_path):
    """The result of executing a file, and the model that was kept."""

    def run(executor, file=dense_file, images=50):
        folder = tmp_path / executor
        folder.mkdir(exist_ok=True)
        return execute_file(str(file), executor, digits, task, images, str(folder), None), ResultFolder(
            folder
        ).onnx_model

    return run


@pytest.fixture
def eager(dense_file):
    return executor_models.load_model("eager", dense_file, 1)


def test_pytorch_runs_the_file_itself(dense_file, tmp_path):
    for executor in ("eager", "compiled"):
        assert executor_models.prepare_model(executor, dense_file, IMAGES, tmp_path) == dense_file


def test_onnxruntime_computes_what_eager_does(dense_file, eager, tmp_path):
    model = executor_models.prepare_model("onnxruntime", dense_file, IMAGES, tmp_path)
    loaded = executor_models.load_model("onnxruntime", model, 1)
    assert model == tmp_path / "model.onnx"
    assert torch.allclose(loaded.compute_logits(IMAGES), eager.compute_logits(IMAGES), atol=1e-5)
    assert torch.equal(torch.from_numpy(loaded.make_forward_pass(IMAGES)()), loaded.compute_logits(IMAGES))
    assert loaded.count_model_bytes() == model.stat().st_size
    assert loaded.measure_peak_bytes(IMAGES) is None


def test_what_is_compiled_computes_what_eager_does(dense_file, eager):
    loaded = executor_models.load_model("compiled", dense_file, 1)
    assert torch.allclose(loaded.compute_logits(IMAGES), eager.compute_logits(IMAGES), atol=1e-4)
    assert loaded.count_model_bytes() == 4 * (64 * 32 + 32 + 32 * 10 + 10)
    assert loaded.measure_peak_bytes(IMAGES) >= loaded.count_model_bytes() + 4 * 16 * 10


def test_a_model_races_against_itself_as_fast(dense_file, tmp_path, short_turns):
    model = executor_models.prepare_model("onnxruntime", dense_file, IMAGES, tmp_path)
    found = latency.race_models(str(model), str(model), str(dense_file), settings("onnxruntime", 16))
    assert 0.5 < found["speedup"] < 2
    assert found["peak_memory_bytes"] is None
    assert latency.summarise_races([found] * 3)["metrics"]["peak_memory_bytes"] is None


def test_a_share_is_known_under_an_executor_that_exports(dense_file, short_turns):
    assert 0.4 < latency.measure_time_share(dense_file, dense_file, [1, 8, 8], settings("onnxruntime")) < 2.5


def test_quality_under_eight_bits_is_what_onnxruntime_computes_of_the_kept_model(executed, test_images, eager):
    result, model = executed("onnxruntime_int8")
    logits = torch.from_numpy(load_onnx_runner(model, 1)(test_images.images.contiguous().numpy()))
    usual = eager.compute_logits(test_images.images)
    assert 1e-4 < (logits - usual).abs().max() < 0.5
    answers, usual = logits.argmax(1), usual.argmax(1)
    metrics = result["metrics"]
    assert metrics["accuracy"] == pytest.approx((answers == test_images.labels).double().mean().item(), abs=0.01)
    assert metrics["agreement"] == pytest.approx((answers == usual).double().mean().item(), abs=0.01)
    assert metrics["model_bytes"] == model.stat().st_size
    assert b"QuantizeLinear" in model.read_bytes()
    float_model = executed("onnxruntime")[1]
    assert b"QuantizeLinear" not in float_model.read_bytes()


def test_float32_in_onnxruntime_is_as_good_as_eager(executed, test_images, eager):
    result, _ = executed("onnxruntime")
    usual = eager.compute_logits(test_images.images)
    assert result["metrics"]["agreement"] == 1.0
    assert result["metrics"]["loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(usual, test_images.labels).item(), rel=1e-5
    )
    assert result["images"] == 300


def test_all_passes_have_as_many_images_whatever_is_left_over(test_images, monkeypatch):
    seen = []

    def logits(images):
        seen.append(len(images))
        return torch.nn.functional.one_hot(images.flatten(1).argmax(1) % 10, 10).float()

    whole, loss = execution._predict_classes(logits, test_images)
    monkeypatch.setattr(execution, "EXECUTION_BATCH_SIZE", 64)
    parts, other = execution._predict_classes(logits, test_images)
    assert seen == [100] * 3 + [64] * 5
    assert torch.equal(whole, parts)
    assert other == pytest.approx(loss)


def test_calibration_images_are_spread_over_all(test_images):
    chosen = execution._select_spread_images(test_images, 3)
    assert torch.equal(chosen, test_images.images[torch.tensor([0, 150, 299])])
    assert len(execution._select_spread_images(test_images, 1000)) == 300


def test_what_a_compiler_is_needed_for_is_told_without_one(monkeypatch):
    require_installed(["eager", "onnxruntime", "onnxruntime_int8"])
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ProgramNotInstalled, match="no-such-compiler is not installed: apt-get install g\\+\\+"
    ) as error:
        require_installed(["eager", "compiled"])
    assert error.value.kind == "not_installed"


def test_a_gpu_that_is_not_there_is_the_users_mistake(dense_file, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="finds no GPU"):
        executor_models.load_model("eager", dense_file, 1, "gpu")


def test_on_a_gpu_its_own_events_are_the_clock(monkeypatch):
    """No GPU is needed to see what is asked of one."""

    told = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            told.append("event")

        def synchronize(self):
            told.append("waited")

        def elapsed_time(self, end):
            return 6.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert latency.select_clock("gpu")(lambda: told.append("pass"), 3) == pytest.approx(0.002)
    assert told == ["event", "pass", "pass", "pass", "event", "waited"]
