"""`convarium doctor` on one host: what it prints, how it ends, and that it leaves nothing behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import Call
from convarium.host.provenance import read_cpu_model

HOST_CHECKS = ["/tmp", "locks of the host", "processor", "devices"]
DISK_CHECKS = [
    "store", "exclusive create", "hard links", "locks of the store", "clock of the disk", "times of files", "free room",
]  # fmt: skip


def test_a_good_host_is_ok_in_all_and_nothing_is_left_on_it(call: Call, here: Path) -> None:
    code, out, error = call("doctor")
    assert (code, error) == (0, "")
    assert [line.split("  ")[0].strip() for line in out.splitlines()] == ["check", *HOST_CHECKS, *DISK_CHECKS]
    assert "not ok" not in out
    assert not any(here.iterdir())
    code, out, _ = call("doctor", "--json")
    checks = json.loads(out)["checks"]
    assert code == 0
    assert [check["name"] for check in checks] == [*HOST_CHECKS, *DISK_CHECKS]
    assert {check["ok"] for check in checks} == {True}
    assert all(check["message"] for check in checks)
    assert not any(here.iterdir())


def test_a_store_that_is_there_is_as_before(call: Call, here: Path) -> None:
    (here / "store").mkdir()
    assert call("doctor", "runtime.store=store")[0] == 0
    assert not any((here / "store").iterdir())


def test_what_is_not_ok_is_said_with_what_mends_it_and_ends_with_1(call: Call) -> None:
    code, out, _ = call("doctor", "measurement.executors=[eager]", "measurement.cpu=Old Processor")
    assert code == 1
    (line,) = (line for line in out.splitlines() if "not ok" in line)
    assert f"{read_cpu_model()}, and times are asked for on Old Processor: name this one (measurement.cpu)" in line


def test_a_folder_that_no_store_can_be_made_in_is_one_finding(call: Call) -> None:
    code, out, _ = call("doctor", "--json", "runtime.store=/proc/store")
    not_ok = [check for check in json.loads(out)["checks"] if not check["ok"]]
    assert code == 1
    assert [check["name"] for check in not_ok] == ["store"]
    assert not_ok[0]["message"].endswith("; set another runtime.store")


def test_a_tracker_that_does_not_answer_is_a_finding(call: Call) -> None:
    code, out, _ = call("doctor", "--json", "tracking=mlflow", "tracking.uri=http://me:secret@127.0.0.1:9")
    (tracker,) = (check for check in json.loads(out)["checks"] if check["name"] == "tracker")
    assert (code, tracker["ok"]) == (1, False)
    assert "Connection refused" in tracker["message"]
    assert "secret" not in tracker["message"]
    code, out, _ = call("doctor", "--json", "tracking=mlflow")
    (tracker,) = (check for check in json.loads(out)["checks"] if check["name"] == "tracker")
    assert (code, tracker["ok"]) == (0, True)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hydra/launcher=slrum"], "slrum"),
        (["hydra/launcher=slurm", "hydra.launcher.partitions=gpu"], "Could not override 'hydra.launcher.partitions'"),
        (["hydra/launcher=slurm", "hydra.launcher.timeout_min=1"], "give a smaller notice or a larger"),
        (["tracking=mlflow", "tracking.uri=postgres://a/b"], "write postgresql://"),
        (["runtime.store=a_file"], "the store a_file is not a folder"),
        (["runtime.stores=x"], "runtime.stores"),
        (["recipe.lr=-1"], "out of range"),
        (["--no-jobs"], "unrecognized arguments: --no-jobs"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(
    words: list[str], line: str, call: Call, write: Callable[[str, str], Path]
) -> None:
    write("a_file", "")
    code, out, error = call("doctor", *words)
    assert (code, out) == (2, "")
    assert line in error
    assert error.count("\n") == 1


def test_a_host_without_slurm_is_told_where_to_submit_from(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, _ = call("doctor", "--json", "hydra/launcher=slurm")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert not checks["profile"]["ok"]
    assert "sbatch is not installed here: submit from a host that has Slurm's commands" in checks["profile"]["message"]
    assert "job on a node" not in checks
    assert not set(HOST_CHECKS) & checks.keys(), "no worker runs on this host"


def test_hosts_of_another_launcher_are_not_looked_at_and_that_is_said(
    call: Call, write: Callable[[str, str], Path]
) -> None:
    write("conf/hydra/launcher/elsewhere.yaml", "defaults: [local, _self_]\n")
    code, out, error = call("doctor", "--json", "hydra/launcher=elsewhere")
    assert (code, error) == (0, "convarium: the hosts of this launcher are not looked at\n")
    assert [check["name"] for check in json.loads(out)["checks"]] == DISK_CHECKS


def test_torch_is_imported_only_where_devices_are_asked_for(here: Path) -> None:
    program = """
import sys
from convarium.cli import main
print(main(["doctor", "--json", *sys.argv[1:]]), "torch" in sys.modules, file=sys.stderr)
"""
    for words, expected in [([], "0 False"), (["runtime.accelerator=gpu"], "True")]:
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
        assert done.stderr.strip().endswith(expected)
