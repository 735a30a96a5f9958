"""`runtime.devices=2`: stages in ranks whose command is killed go on from their checkpoints, to the same bits."""

import subprocess
import sys
from pathlib import Path

from convarium.store.result_folder import ResultFolder
from waiting import wait_until

COMMAND = (
    sys.executable, "-m", "convarium", "run", "architecture=lenet5", "dataset=digits", "dataset.img_size=28",
    "compression=magnitude", "recipe.epochs=4", "runtime.devices=2", "runtime.threads=1", "runtime.workers=1",
)  # fmt: skip
CHECKPOINTS = {"train": "train.ckpt", "compress": "phase-0.ckpt"}


def test_stages_whose_command_is_killed_end_in_the_networks_of_undisturbed_ones(tmp_path: Path) -> None:
    calm, disturbed = [*COMMAND, f"runtime.store={tmp_path}/calm"], [*COMMAND, f"runtime.store={tmp_path}/disturbed"]
    subprocess.run(calm, check=True)
    for stage, checkpoint in CHECKPOINTS.items():
        with subprocess.Popen(disturbed) as command:
            wait_until(lambda pattern=f"disturbed/{stage}/*/checkpoints/{checkpoint}": list(tmp_path.glob(pattern)))
            command.kill()
    subprocess.run(disturbed, check=True)
    for stage in CHECKPOINTS:
        (calm_folder,), (folder,) = tmp_path.glob(f"calm/{stage}/*"), tmp_path.glob(f"disturbed/{stage}/*")
        assert "attempt 2 begins on" in ResultFolder(folder).log.read_text()
        assert ResultFolder(folder).network.read_bytes() == ResultFolder(calm_folder).network.read_bytes()
