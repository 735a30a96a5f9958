"""What Slurm is asked before anything is queued; its accounting and its configuration are fakes here."""

from pathlib import Path

import pytest

from convarium.doctor.finding import Finding
from convarium.doctor.slurm_checks import check_job_folders, check_slurm
from convarium.workers.slurm_settings import SlurmSettings
from doctor.fake_program import install_fake_program

ACCOUNTING = """case "$*" in
*associations*) printf 'vision|normal|40|100\\nother|tiny|1|\\n';;
*qos*) printf 'normal||30\\ntiny|2|2\\nnone|0|0\\n';;
esac"""
CONFIG = """cat <<'END'
Configuration data as of 2026-11-30T09:00:00
{}
END"""


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """Where fakes of Slurm's commands lie."""
    return tmp_path / "bin"


def find(name: str, settings: SlurmSettings, workers: int | None) -> Finding:
    """Return what one check of Slurm finds."""
    (found,) = (finding for finding in check_slurm(settings, Path("job.sh"), workers) if finding.name == name)
    return found


@pytest.mark.parametrize(
    ("settings", "workers", "is_ok", "words"),
    [
        (SlurmSettings(account="vision"), None, True, "30 at once is the least of them"),
        (SlurmSettings(account="vision"), 32, True, "30 at once is the least of them; of 32 workers the others are"),
        (SlurmSettings(account="vision", qos="tiny"), None, True, "2 at once is the least of them"),
        (SlurmSettings(), None, True, "1 at once is the least of them"),
        (SlurmSettings(qos="none"), None, False, "0 at once is the least of them: ask who runs the cluster"),
        (SlurmSettings(account="nobody"), None, True, "there is none"),
    ],
)
def test_the_least_limit_on_jobs_of_account_and_qos_is_told(
    settings: SlurmSettings,
    workers: int | None,
    is_ok: bool,
    words: str,
    bin_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install_fake_program("sacctmgr", ACCOUNTING, bin_folder, monkeypatch)
    finding = find("limits of jobs", settings, workers)
    assert finding.is_ok == is_ok
    assert finding.message.startswith(words)


def test_limits_that_nobody_tells_stand_in_no_way(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_program("sacctmgr", "echo 'no accounting' >&2; exit 1", bin_folder, monkeypatch)
    finding = find("limits of jobs", SlurmSettings(), 4)
    assert (finding.is_ok, finding.message) == (True, "unknown here (sacctmgr: no accounting)")


@pytest.mark.parametrize(
    ("size", "workers", "is_ok", "message"),
    [
        (1001, None, True, "an array may have 1,001 jobs"),
        (6, 6, True, "an array may have 6 jobs"),
        (6, 20, True, "an array may have 6 jobs; 20 workers would be 4 arrays"),
        (
            0,
            2,
            False,
            "Slurm has job arrays switched off, which workers are submitted as: set MaxArraySize in slurm.conf",
        ),
    ],
)
def test_arrays(
    size: int, workers: int | None, is_ok: bool, message: str, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_program("scontrol", CONFIG.format(f"MaxArraySize            = {size}"), bin_folder, monkeypatch)
    finding = find("arrays", SlurmSettings(), workers)
    assert (finding.is_ok, finding.message) == (is_ok, message)


@pytest.mark.parametrize(
    ("line", "is_ok"),
    [
        ("JobContainerType        = job_container/none", True),
        ("JobContainerType        = (null)", True),
        ("JobContainerType        = job_container/tmpfs", False),
        ("NamespaceType           = namespace/tmpfs", False),
        ("NamespaceType           = namespace/linux", False),
    ],
)
def test_a_slurm_that_gives_each_job_a_tmp_of_its_own(
    line: str, is_ok: bool, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_program("scontrol", CONFIG.format(line), bin_folder, monkeypatch)
    finding = check_job_folders()
    assert finding.is_ok == is_ok
    assert is_ok or f"({line.split()[-1]}): stages that take times are alone in their own job only" in finding.message


def test_a_limit_that_is_met_now_is_no_mistake_of_the_profile(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1"
    install_fake_program("sbatch", refusal, bin_folder, monkeypatch)
    finding = find("profile", SlurmSettings(), 4)
    assert finding.is_ok
    assert finding.message.startswith("Slurm takes no more jobs now (sbatch: QOSMaxSubmitJobPerUserLimit)")
