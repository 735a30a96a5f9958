"""Results made up by hand, whose comparison can be checked by eye."""

import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from convarium.comparison.metric_names import TIMED_METRICS
from convarium.comparison.result import NetworkResult, Provenance
from convarium.store.signature import canonical_json

IMAGES = 400


@pytest.fixture(scope="module")
def intervals() -> ModuleType:
    spec = spec_from_file_location("intervals", Path(__file__).parents[2] / "benchmarks" / "intervals.py")
    module = module_from_spec(spec)
    sys.modules["intervals"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["intervals"]


def sign_config(config) -> str:
    return sha256(canonical_json(config).encode()).hexdigest()[:12]


@pytest.fixture
def magnitude() -> Callable[..., dict]:
    return lambda sparsity=0.9, **knobs: {
        "method": "pruning/magnitude", "version": 1, "phases": [], "sparsity": sparsity, "epochs": 2, **knobs,
    }  # fmt: skip


@pytest.fixture
def kmeans() -> Callable[..., dict]:
    return lambda bits=5: {"method": "quantization/kmeans", "version": 1, "phases": [], "bits": bits}


@pytest.fixture
def result() -> Callable[..., NetworkResult]:
    """A result whose first `wrong` test images are wrong, the next ones shifted by seed; signed by its config."""

    def make(
        *steps, seed=0, wrong=20, shift=0, size=100_000, metrics=None, config=None, void=False, dense=None, facts=None
    ):
        correct = np.ones(IMAGES, dtype=bool)
        correct[shift : shift + wrong] = False
        base = {
            "architecture": {"source": "own", "name": "lenet5"},
            "dataset": {"name": "mnist5k", "root": None, "train_size": None},
            "task": {"name": "classification"},
            "recipe": {"epochs": 8, "lr": 0.1},
        }
        figures = {
            "accuracy": float(correct.mean()), "validation_accuracy": 1 - wrong / IMAGES, "loss": 0.1,
            "file_bytes": size, "dense_bytes": 100_000, "ratio": 100_000 / size, "xz_bytes": 90_000,
            "parameters": 1000, "nonzeros": 900, "macs": 5000,
        }  # fmt: skip
        whole = base | (config or {}) | {"compression": list(steps), "seed": seed}
        return NetworkResult(
            config=whole,
            overrides=(),
            signature=sign_config(whole),
            seed=seed,
            metrics={**figures, **dict.fromkeys(TIMED_METRICS), **(metrics or {})},
            correct_hex=np.packbits(correct).tobytes().hex(),
            image_count=IMAGES,
            is_latency_void=void,
            dense_signature=dense or sign_config(whole | {"compression": []}),
            provenance=facts or Provenance(),
        )

    return make
