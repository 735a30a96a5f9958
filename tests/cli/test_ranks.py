"""`runtime.devices=2`: a stage in ranks whose command is killed goes on from its checkpoint, to the same bits."""

import subprocess
import sys
from pathlib import Path

from convarium.store.result_folder import ResultFolder
from waiting import wait_until

COMMAND = (
    sys.executable, "-m", "convarium", "run", "architecture=lenet5", "dataset=digits", "dataset.img_size=28",
    "recipe.epochs=4", "runtime.devices=2", "runtime.threads=1", "runtime.workers=1",
)  # fmt: skip


def test_a_stage_whose_command_is_killed_ends_in_the_network_of_an_undisturbed_one(tmp_path: Path) -> None:
    calm, disturbed = [*COMMAND, f"runtime.store={tmp_path}/calm"], [*COMMAND, f"runtime.store={tmp_path}/disturbed"]
    subprocess.run(calm, check=True)
    with subprocess.Popen(disturbed) as command:
        wait_until(lambda: list(tmp_path.glob("disturbed/train/*/checkpoints/train.ckpt")))
        command.kill()
    subprocess.run(disturbed, check=True)
    (calm_folder,), (folder,) = tmp_path.glob("calm/train/*"), tmp_path.glob("disturbed/train/*")
    assert "attempt 2 begins on" in ResultFolder(folder).log.read_text()
    assert ResultFolder(folder).network.read_bytes() == ResultFolder(calm_folder).network.read_bytes()
