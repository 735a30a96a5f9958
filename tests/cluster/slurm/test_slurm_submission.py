"""What is submitted to a real Slurm, and what it refuses."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster_run import begin_run
from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import build_slurm_backend, make_fake_chains, run_on_slurm
from convarium.errors import UserError
from store.fake_run import make_fake_node

pytestmark = pytest.mark.xdist_group("slurm")
LIMITED_SBATCH = """#!/bin/sh
# takes two jobs at a time, and four in all
for each; do case $each in --test-only) exit 0;; --array=*) last=${each#--array=0-}; last=${last%%%*};; esac; done
taken=$(cat "$0.taken" 2>/dev/null || echo 0)
if [ "$last" -gt 1 ] || [ $((taken + last + 1)) -gt 4 ]; then
  echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
  echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy" >&2; exit 1
fi
echo $((taken + last + 1)) > "$0.taken"; echo $((1000 + taken))
"""


def test_arrays_are_as_large_as_slurm_allows(slurm: SlurmCluster, store: Path) -> None:
    backend = build_slurm_backend()(begin_run(store, make_fake_node("one")))
    backend.submit(8)
    assert sorted(Counter(job.id.split("_")[0] for job in backend.states()).values()) == [2, 6]
    backend.cancel()


def test_where_a_limit_stands_in_the_way_fewer_are_submitted_and_the_others_later(
    slurm: SlurmCluster, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(LIMITED_SBATCH)
    sbatch.chmod(0o755)
    backend = build_slurm_backend(squeue_seconds=60.0)(begin_run(store, make_fake_node("one")))
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/usr/bin:/bin")
    backend.submit(6)
    assert [job.state for job in backend.states()] == ["waiting"] * 4
    sbatch.write_text("#!/bin/sh\nexit 1")
    backend.submit(2)  # asks nobody: the limit was met a moment ago
    assert len(backend.states()) == 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"partition": "nope"}, "invalid partition specified: nope"),
        ({"mem_gb": 4000}, "Requested node configuration is not available"),
        ({"cpus_per_task": 64}, "Requested node configuration is not available"),
        ({"gres": "gpu:8"}, "Invalid generic resource"),
        ({"additional_parameters": {"no_such": 1}}, "unrecognized option '--no-such=1'"),
        ({"timeout_min": 1}, "a larger hydra.launcher.timeout_min"),
        ({"partitions": "main"}, "hydra.launcher.partitions: no such setting (did you mean partition?)"),
        ({"nodes": 2}, "hydra.launcher.nodes=2: a worker is one task on one node"),
    ],
)
def test_what_slurm_would_not_run_is_said_in_one_line_before_anything_is_queued(
    slurm: SlurmCluster, store: Path, journal: Path, settings: dict[str, Any], words: str
) -> None:
    before = len(slurm.list_jobs("all"))
    with pytest.raises(UserError) as error:
        run_on_slurm(make_fake_chains(journal, 1, 1, 0.0), store, 2, **settings)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert len(slurm.list_jobs("all")) == before
    assert not list(store.glob("runs/*/run.json"))


def test_a_host_without_slurm_says_so(
    slurm: SlurmCluster, store: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "squeue is not installed here: submit from a host that has Slurm's commands"
    plan = make_fake_chains(journal, 1, 1, 0.0)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        with pytest.raises(UserError, match=words):
            run_on_slurm(plan, store, 2)
