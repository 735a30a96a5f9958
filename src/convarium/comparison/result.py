"""What a comparison is made of: one measured network, or a point of which none could be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from convarium.comparison.statistics import unpack
from convarium.store.signature import canonical_json

NOT_COMPARED = ("seed", "runtime", "tracking", "budget")  # a budget is in the step that it orders to be solved
MEASURED = (
    "accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "loss", "file_bytes",
    "dense_bytes", "ratio", "xz_bytes", "parameters", "nonzeros", "macs",
)  # fmt: skip
TIMED = ("latency_ms", "speedup", "peak_memory_bytes")
METRICS = MEASURED + TIMED
HIGHER_IS_BETTER = (
    "accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "ratio", "speedup",
)  # fmt: skip


ON_IMAGES = ("accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "loss")
ON_TEST = ("accuracy", "balanced_accuracy", "loss", "agreement")


@dataclass(frozen=True)
class Facts:
    """How a result came to be, read off the records of its stages; what differs can't be compared without a word.

    Attributes:
        versions: of packages, such as "torch 2.14.1", over all stages that made and measured the network.
        protocol: how its quality was measured (stage, task, images of each part), as text.
        timing: how its latency was measured, as text; None where it was not.
        host: where its latency was taken.
    """

    versions: tuple[str, ...] = ()
    protocol: str = ""
    timing: str | None = None
    host: str | None = None


@dataclass(frozen=True)
class Refused:
    """A point that can't be made, and why, in a few words: "not reachable (least 9,120 bytes)", "not installed"."""

    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    seed: int
    reason: str

    @property
    def row(self) -> str:
        """What all seeds of a row have in common, as text."""
        return canonical_json(_identity(self.config))


@dataclass(frozen=True)
class Result:
    """One measured network.

    Attributes:
        config: of its point, without what never decides a result.
        signature: of the stage that made the network.
        metrics: all of METRICS, None where not measured.
        correct: hex of np.packbits over the test images, 1 where the network is right; `images` of them.
        void: its latency was measured while the machine was too busy to say anything.
        dense: signature of the dense network that it is measured against; its own where it is one itself.
        facts: how it came to be.
        class_images: how many test images each class has, by label; () where that was not recorded.
        records: signatures of the stages that measured it.
        timings: under each executor, with each number of images a pass, as JSON; `metrics` has the first one's latency.
        coverage: the share of the dense network's weights that methods can work on; None where that was not recorded.
        uncovered: the shares of the rest, by type of layer.
    """

    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    signature: str
    seed: int
    metrics: Mapping[str, float | None]
    correct: str
    images: int
    void: bool = False
    dense: str = ""
    facts: Facts = Facts()
    class_images: tuple[int, ...] = ()
    records: tuple[str, ...] = ()
    timings: tuple[Mapping[str, Any], ...] = ()
    coverage: float | None = None
    uncovered: Mapping[str, float] = field(default_factory=dict)

    @property
    def row(self) -> str:
        """What all seeds of a row have in common, as text."""
        return canonical_json(_identity(self.config))

    @property
    def is_dense(self) -> bool:
        """Whether others are compared with it, and it with none."""
        return self.signature == self.dense

    def bits(self) -> NDArray[Any]:
        """Return correctness by test image, zeros and ones, float64 (images,)."""
        return unpack(self.correct, self.images)


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in NOT_COMPARED}
    kept["dataset"] = {key: value for key, value in config["dataset"].items() if key != "root"}
    kept["compression"] = [{key: step[key] for key in step if key != "name"} for step in config["compression"]]
    return kept
