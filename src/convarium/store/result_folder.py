"""The names of a result's files: no other module spells them."""

from dataclasses import dataclass
from pathlib import Path

NETWORK_FILE = "network.cvm"
EXTERNAL_NETWORK_FILE = "network.outside"
ONNX_MODEL_FILE = "model.onnx"
RECORD_FILE = "done.json"
FAILURE_FILE = "failed.json"
CURVES_FILE = "curves.jsonl"
ANSWERS_FILE = "answers.npz"
LOG_FILE = "log.txt"
CHECKPOINT_FOLDER = "checkpoints"
# A new file that a stage publishes must be listed here, or it is taken for the user's own and never removed.
FILE_NAMES = (
    RECORD_FILE,
    FAILURE_FILE,
    CURVES_FILE,
    LOG_FILE,
    NETWORK_FILE,
    EXTERNAL_NETWORK_FILE,
    ONNX_MODEL_FILE,
    ANSWERS_FILE,
)


@dataclass(frozen=True)
class ResultFolder:
    """The folder of one result."""

    path: Path

    @property
    def network(self) -> Path:
        """The compressed file, which every stage that makes a network writes."""
        return self.path / NETWORK_FILE

    @property
    def external_network(self) -> Path:
        """The network in another coder's format, whose bytes count in place of our file's."""
        return self.path / EXTERNAL_NETWORK_FILE

    @property
    def onnx_model(self) -> Path:
        """The model that an ONNX executor ran when the quality was measured, and that is timed."""
        return self.path / ONNX_MODEL_FILE

    @property
    def answers(self) -> Path:
        """The class and the loss of each test image, which `measure` writes; no figure is read from it."""
        return self.path / ANSWERS_FILE

    @property
    def record(self) -> Path:
        """The record of inputs and result; it is linked last, so that the result is done when it exists."""
        return self.path / RECORD_FILE

    @property
    def failure(self) -> Path:
        """The record of the last attempt's failure."""
        return self.path / FAILURE_FILE

    @property
    def curves(self) -> Path:
        """The stage's reports, a line of JSON each."""
        return self.path / CURVES_FILE

    @property
    def log(self) -> Path:
        """The output of all attempts; it is not part of the result."""
        return self.path / LOG_FILE

    def find_log(self) -> str | None:
        """Return the path of the log; None where there is none (yet)."""
        return str(self.log) if self.log.is_file() else None

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, from which a killed stage resumes; it is removed when the result is done."""
        return self.path / CHECKPOINT_FOLDER

    def work_folder(self, lease_number: int) -> Path:
        """The folder for the files of one lease's owner, until they are published together."""
        return self.path / f"work.{lease_number}"
