"""The names of the figures that a comparison has; completion reads them, so nothing is imported here."""

MEASURED_METRICS = (
    "accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "loss", "file_bytes",
    "dense_bytes", "ratio", "xz_bytes", "parameters", "nonzeros", "macs",
)  # fmt: skip
TIMED_METRICS = ("latency_ms", "speedup", "peak_memory_bytes")
METRICS = MEASURED_METRICS + TIMED_METRICS
HIGHER_IS_BETTER = (
    "accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "ratio", "speedup",
)  # fmt: skip
IMAGE_METRICS = ("accuracy", "validation_accuracy", "balanced_accuracy", "validation_balanced_accuracy", "loss")
TEST_METRICS = ("accuracy", "balanced_accuracy", "loss", "agreement")
