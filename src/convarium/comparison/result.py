"""Input of a comparison: one measured network, or a point that can't be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from convarium.comparison.statistics import unpack_correctness
from convarium.store.signature import canonical_json

KEYS_OUTSIDE_ROW = ("seed", "runtime", "tracking", "budget")  # the step that a budget is for holds it too
DATASET_IDENTITY_KEYS = ("name", "fingerprint", "train_size")


@dataclass(frozen=True)
class Provenance:
    """How a result was made and measured, from the records of its stages; the audit names what differs between rows.

    Attributes:
        versions: package versions, such as "torch 2.14.1", over all stages that made and measured the network.
        quality_protocol: how its quality was measured (stage, task, images of each part), as text.
        latency_protocol: how its latency was measured, as text; None where it was not.
        latency_host: name of the host that measured its latency; None where it was not measured.
    """

    versions: tuple[str, ...] = ()
    quality_protocol: str = ""
    latency_protocol: str | None = None
    latency_host: str | None = None


@dataclass(frozen=True)
class RefusedPoint:
    """A point that can't be made, with a short reason, such as "not reachable (least 9,120 bytes)"."""

    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    seed: int
    reason: str

    @property
    def row_key(self) -> str:
        """What all seeds of a row have in common, as text."""
        return canonical_json(_get_row_identity(self.config))


@dataclass(frozen=True)
class NetworkResult:
    """One measured network.

    Attributes:
        config: config of its point, without what never decides a result.
        signature: signature of the stage that made the network.
        metrics: all of METRICS, None where not measured.
        correct_hex: hex of np.packbits over the test images, 1 where the network is right, for `image_count` images.
        is_latency_void: its latency was measured while the machine was too busy for a valid one.
        dense_signature: signature of the dense network it is measured against; its own if it is one itself.
        provenance: how it was made and measured.
        images_per_class: how many test images each class has, by label; () where that was not recorded.
        record_signatures: signatures of the stages that measured it.
        timings: as JSON, for each executor and number of images per pass; `metrics` has the first one's latency.
        coverage: the share of the dense network's weights that methods can work on; None where that was not recorded.
        uncovered_shares: the shares of the other weights, by type of layer.
        refusals: why times or executions that were asked for can't be had.
    """

    config: Mapping[str, Any]
    overrides: tuple[str, ...]
    signature: str
    seed: int
    metrics: Mapping[str, float | None]
    correct_hex: str
    image_count: int
    is_latency_void: bool = False
    dense_signature: str = ""
    provenance: Provenance = Provenance()
    images_per_class: tuple[int, ...] = ()
    record_signatures: tuple[str, ...] = ()
    timings: tuple[Mapping[str, Any], ...] = ()
    coverage: float | None = None
    uncovered_shares: Mapping[str, float] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()

    @property
    def row_key(self) -> str:
        """What all seeds of a row have in common, as text."""
        return canonical_json(_get_row_identity(self.config))

    @property
    def is_dense(self) -> bool:
        """Whether it is a dense network, which others are compared with."""
        return self.signature == self.dense_signature

    def unpack_correctness(self) -> NDArray[Any]:
        """Return 1 for each test image that is classified correctly, else 0; float64 (images,)."""
        return unpack_correctness(self.correct_hex, self.image_count)


def _get_row_identity(config: Mapping[str, Any]) -> dict[str, Any]:
    identity = {key: value for key, value in config.items() if key not in KEYS_OUTSIDE_ROW}
    # The folder that data are read from and a step's name for people decide no result.
    identity["dataset"] = {key: value for key, value in config["dataset"].items() if key != "root"}
    identity["compression"] = [{key: step[key] for key in step if key != "name"} for step in config["compression"]]
    return identity
