"""A Slurm of two nodes on this machine: its own munge, no systemd, no cgroups, no accounting, loopback only."""

import os
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from cluster.namespaces import Namespaces, NamespacesUnavailable

NODES = ("node-a", "node-b")
CPUS = 2  # of each node
MEMORY = 4000  # of each node, in MB; a job that takes more than it asked for is ended
PROGRAMS = ("unshare", "munged", "slurmctld", "slurmd", "sbatch")
READY_SECONDS = 30.0
LOST_SECONDS = 8.0  # slurmctld has died of jobs that began anew on a node where their old steps still ended
CREDENTIAL_SECONDS = 2  # a job that is begun again before is refused its step
START_CONTROLLER = 'slurmctld -D -f "$1/slurm.conf" 2>> "$1/slurmctld.err" > /dev/null < /dev/null &'
# A UTS namespace gives each node its host name. Where its jobs' own folders lie must be a mount. The shell, process 1
# here, waits for what ends without a parent.
SCRIPT = """
set -e; folder=$1; shift
munged --force --key-file="$folder/key" --socket="$folder/socket" --pid-file="$folder/munged.pid" \\
  --log-file="$folder/munged.log" --seed-file="$folder/seed" --num-threads=2
slurmctld -D -f "$folder/slurm.conf" 2> "$folder/slurmctld.err" > /dev/null < /dev/null &
for node; do
  mkdir -p "$folder/of-jobs/$node"; mount -n -t tmpfs tmpfs "$folder/of-jobs/$node"
  unshare --uts sh -c "hostname $node && exec slurmd -D -f $folder/slurm.conf -N $node" \\
    2> "$folder/slurmd-$node.err" > /dev/null < /dev/null &
done
echo ready; cat > /dev/null; exit 0
"""
CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/socket,cred_expire={credential_seconds}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=UsePss,OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU={memory_per_cpu}
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=3
MaxArraySize=6
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
"""
PARTITIONS = """
PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=10
PartitionName=urgent Nodes={nodes} MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
"""
PRIVATE_TMP = "JobContainerType=job_container/tmpfs\nPrologFlags=Contain"


class SlurmCluster:
    """A running Slurm.

    Args:
        folder: an empty folder, for its files.
        has_private_tmp: whether each job has a /tmp of its own, as on many clusters.

    Raises:
        NamespacesUnavailable: this machine can't run it.
    """

    def __init__(self, folder: Path, has_private_tmp: bool = False) -> None:
        self._folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}
        _write_config(folder, has_private_tmp)
        # Linux 6.18 numbers namespaces for each CPU apart, and refuses at times the mounts that private folders need
        # where a job's namespace was made on another CPU than its node's.
        self._namespaces = Namespaces(SCRIPT, [str(folder), *NODES], has_one_cpu=has_private_tmp)
        with ExitStack() as stack:
            stack.callback(self.close)
            self._wait_until_idle()
            stack.pop_all()

    def call(self, *command: str) -> str:
        """Run one of Slurm's commands; return what it prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout

    def run_on_other_disk(self, folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command on a host that sees another disk at a folder than the nodes do."""
        script = 'mount -n -t tmpfs tmpfs "$1" && shift && exec "$@"'
        return subprocess.run(
            self._namespaces.build_command("unshare", "--mount", "sh", "-c", script, "sh", str(folder), *command),
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def submit(self, *options: str) -> None:
        """Submit a job whose output is not wanted."""
        self.call("sbatch", "--output=/dev/null", *options)

    def list_jobs(self, states: str = "PENDING,RUNNING,COMPLETING") -> list[tuple[str, str, str]]:
        """Return the id, the state and the reason of each job in these states."""
        text = self.call("squeue", "-h", "-r", f"--states={states}", "-o", "%i|%T|%r")
        return [tuple(line.split("|")) for line in text.splitlines()]  # type: ignore[misc]

    def hurry(self, *changes: str) -> None:
        """Let requeued jobs, which Slurm holds for two minutes, start as soon as their old credentials have expired.

        Args:
            changes: of each, as "TimeLimit=60"; of their own they would hide for a while that a job is held.
        """
        held_jobs = [job for job, _, reason in self.list_jobs("PENDING") if reason == "BeginTime"]
        if held_jobs:
            time.sleep(CREDENTIAL_SECONDS + 1.0)
        for job in held_jobs:
            self.call("scontrol", "update", f"jobid={job}", "StartTime=now", *changes)

    def lose_node(self, job: str) -> None:
        """Let the node of a job be lost for Slurm, and come back."""
        node = self.call("squeue", "-h", "-r", "-j", job, "-o", "%N").strip()
        self.call("scontrol", "update", f"nodename={node}", "state=DOWN", "reason=lost")
        time.sleep(LOST_SECONDS)
        self.call("scontrol", "update", f"nodename={node}", "state=RESUME")

    def stop_controller(self) -> None:
        """End slurmctld; the nodes and the jobs go on without it."""
        self._namespaces.call("sh", "-c", 'kill "$(cat "$1")"', "sh", str(self._folder / "slurmctld.pid"))

    def start_controller(self) -> None:
        """Start slurmctld again; it knows the jobs of before."""
        self._namespaces.call("sh", "-c", START_CONTROLLER, "sh", str(self._folder))

    def close(self) -> None:
        """End it with all its jobs."""
        self._namespaces.close()

    def _wait_until_idle(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while self.call("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N").split() != list(NODES):
            if time.monotonic() > end:
                errors = [file.read_text()[-300:] for file in self._folder.glob("*.err")]
                raise NamespacesUnavailable(f"Slurm did not get ready: {' '.join(' '.join(errors).split())}")
            time.sleep(0.1)


def _write_config(folder: Path, has_private_tmp: bool) -> None:
    (folder / "state").mkdir()
    key = folder / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    ports = _find_free_ports(1 + len(NODES))
    user = "root"  # in the namespaces, whoever made them
    lines = [
        CONFIG.format(
            host=socket.gethostname(),
            port=ports[0],
            user=user,
            folder=folder,
            credential_seconds=CREDENTIAL_SECONDS,
            memory_per_cpu=MEMORY // CPUS,
        )
    ]
    for node, port in zip(NODES, ports[1:], strict=True):
        lines.append(
            f"NodeName={node} NodeHostname={node} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} RealMemory={MEMORY}"
        )
    lines.append(PARTITIONS.format(nodes=",".join(NODES)))
    if has_private_tmp:
        lines.append(PRIVATE_TMP)
        (folder / "job_container.conf").write_text(f"AutoBasePath=true\nBasePath={folder}/of-jobs\n")
    (folder / "slurm.conf").write_text("\n".join(lines))


def _find_free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
