"""The files of a result, by what they hold: no other module spells their names."""

from dataclasses import dataclass
from pathlib import Path

NETWORK_FILE = "network.cvm"
EXTERNAL_NETWORK_FILE = "network.outside"
ONNX_MODEL_FILE = "model.onnx"
RECORD_FILE = "done.json"
FAILURE_FILE = "failed.json"
CURVES_FILE = "curves.jsonl"
LOG_FILE = "log.txt"
CHECKPOINT_FOLDER = "checkpoints"
FILE_NAMES = (
    RECORD_FILE,
    FAILURE_FILE,
    CURVES_FILE,
    LOG_FILE,
    NETWORK_FILE,
    EXTERNAL_NETWORK_FILE,
    ONNX_MODEL_FILE,
)  # a new file that a stage publishes must be listed here, or it is taken for the user's own


@dataclass(frozen=True)
class ResultFolder:
    """The folder of one result."""

    path: Path

    @property
    def network(self) -> Path:
        """The compressed file, of a stage that makes a network."""
        return self.path / NETWORK_FILE

    @property
    def external_network(self) -> Path:
        """The network in another coder's format, whose bytes count in place of our file's."""
        return self.path / EXTERNAL_NETWORK_FILE

    @property
    def onnx_model(self) -> Path:
        """The model that an executor ran, and that is timed."""
        return self.path / ONNX_MODEL_FILE

    @property
    def record(self) -> Path:
        """What was made from what, linked last: the result is done when it is there."""
        return self.path / RECORD_FILE

    @property
    def failure(self) -> Path:
        """Why it could not be made."""
        return self.path / FAILURE_FILE

    @property
    def curves(self) -> Path:
        """Reports of each epoch, a line each."""
        return self.path / CURVES_FILE

    @property
    def log(self) -> Path:
        """What the stage's process printed; no part of the result."""
        return self.path / LOG_FILE

    @property
    def checkpoints(self) -> Path:
        """What a killed stage goes on from; gone when the result is done."""
        return self.path / CHECKPOINT_FOLDER

    def draft(self, lease_number: int) -> Path:
        """Where the owner of a lease puts files until they are published together."""
        return self.path / f"work.{lease_number}"
