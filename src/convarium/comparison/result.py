"""What a comparison is made of: one measured network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from convarium.comparison.statistics import unpack
from convarium.store.signature import canonical_json

NOT_COMPARED = ("seed", "runtime", "tracking")
MEASURED = (
    "accuracy", "validation_accuracy", "loss", "file_bytes", "dense_bytes", "ratio", "xz_bytes", "parameters",
    "nonzeros", "macs",
)  # fmt: skip
TIMED = ("latency_ms", "latency_ratio", "peak_memory_bytes")
METRICS = MEASURED + TIMED
HIGHER_IS_BETTER = ("accuracy", "validation_accuracy", "ratio", "latency_ratio")


@dataclass(frozen=True)
class Result:
    """One measured network.

    Attributes:
        config: of its point, without what never decides a result.
        signature: of the stage that made the network.
        metrics: all of METRICS, None where not measured.
        correct: hex of np.packbits over the test images, 1 where the network is right; `images` of them.
        void: its latency was measured while the machine was too busy to say anything.
    """

    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    signature: str
    seed: int
    metrics: Mapping[str, float | None]
    correct: str
    images: int
    void: bool = False

    @property
    def row(self) -> str:
        """What all seeds of a row have in common, as text."""
        return canonical_json(_identity(self.config))

    @property
    def dense_row(self) -> str:
        """The row of the network that this one is compared with: the same without compression."""
        return canonical_json(_identity(self.config) | {"compression": []})

    def bits(self) -> NDArray[Any]:
        """Return correctness by test image, zeros and ones, float64 (images,)."""
        return unpack(self.correct, self.images)


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in NOT_COMPARED}
    kept["dataset"] = {key: value for key, value in config["dataset"].items() if key != "root"}
    kept["compression"] = [{key: step[key] for key in step if key != "name"} for step in config["compression"]]
    return kept
