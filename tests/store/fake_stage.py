"""Stages without networks: a digest grows by epochs, sleeps, resumes, fails, kills itself.

`runtime.root` names a journal (not hashed) that tells which stage was begun, and by which process.
"""

import json
import os
import resource
import signal
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.errors import StageFailed, UserError
from convarium.workers.runtime import Parent, Runtime

ERRORS_BY_KIND = {"user": UserError("no such thing: take another"), "stage": StageFailed("the loss is NaN")}


def step(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Hash the seed and the parents' files `epochs` times, with a checkpoint after each."""
    write_to_journal(runtime, own["name"])
    state = {"epoch": 0, "digest": _hash_start(own, parents)}
    checkpoint = runtime.checkpoint_folder / "state.json"
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
    while state["epoch"] < own["epochs"]:
        time.sleep(own["seconds"])
        digest = (
            runtime.run_fresh("store.fake_stage:further", state["digest"], own["seconds"], runtime.data_root)
            if own["fresh"]
            else further(state["digest"])
        )
        state = {"epoch": state["epoch"] + 1, "digest": digest}
        runtime.report(phase="fake", epoch=state["epoch"], epochs=own["epochs"], loss=1 / state["epoch"])
        runtime.check_lease()
        draft = runtime.checkpoint_folder / f"draft.{os.getpid()}"
        draft.write_text(json.dumps(state))
        draft.replace(checkpoint)
        runtime.note_checkpoint()
    (runtime.folder / "network.cvm").write_text(state["digest"] * 50)
    print("printed", own["name"])
    return {"metrics": {"value": int(state["digest"][:6], 16)}, "digest": state["digest"]}


def fail(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Fail as `own["how"]` says."""
    write_to_journal(runtime, own["name"])
    if own["how"] in ERRORS_BY_KIND:
        raise ERRORS_BY_KIND[own["how"]]
    if own["how"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if own["how"] == "killed, fresh":
        runtime.run_fresh("store.fake_stage:misbehave", "killed")
    if own["how"] == "nan":
        return {"metrics": {"loss": float("nan")}}
    if own["how"] == "data":
        _load_missing_data()
    if own["how"] == "data, fresh":
        runtime.run_fresh("store.fake_stage:misbehave", "data")
    if own["how"] == "memory":
        fill_memory()
    if own["how"] == "memory, fresh":
        runtime.run_fresh("store.fake_stage:misbehave", "memory")
    if own["how"] == "grow":
        blocks = [bytearray(os.urandom(1 << 20)) for _ in range(400)]
        time.sleep(60.0)
        raise AssertionError(f"{len(blocks)} blocks should have been too many")
    if own["how"] == "large":
        (runtime.folder / "network.cvm").write_bytes(bytes(1 << 22))
    if own["how"] == "exit":
        raise SystemExit(3)
    raise ValueError("first line\nsecond line")


def ask(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Work until it is told to leave, as a fit does in mid-epoch, and keep what was done."""
    write_to_journal(runtime, own["name"])
    while not runtime.is_told_to_leave():
        time.sleep(0.01)
    (runtime.checkpoint_folder / "state.json").write_text("{}")
    runtime.note_checkpoint()
    raise AssertionError("it should have left")


def decide(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Work without end and without a checkpoint, as a decider does that is slower than a time limit."""
    write_to_journal(runtime, own["name"])
    while True:
        time.sleep(0.01)
        runtime.check_stopped()


def share(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Work in ranks; the second falls as `own["how"]` says."""
    ranks = runtime.ranks
    assert ranks is not None
    write_to_journal(runtime, f"rank {ranks.rank} of {ranks.count}")
    runtime.report(phase="fake", epoch=1, rank=ranks.rank)
    runtime.check_lease()
    ranks.check_equal("place", "begun")
    if own["how"] == "checkpoint":
        ranks.compute_in_first(runtime.note_checkpoint)
    if ranks.rank == 1 and own["how"] == "raise":
        raise ValueError("deliberate")
    if ranks.rank == 1 and own["how"] == "user":
        raise ERRORS_BY_KIND["user"]
    if ranks.rank == 1 and own["how"] in ("killed", "frozen"):
        os.kill(os.getpid(), signal.SIGKILL if own["how"] == "killed" else signal.SIGSTOP)
    runtime.files.network.write_text(str(ranks.sum_value(ranks.rank) if own["how"] != "differ" else ranks.rank))
    return {"metrics": {}, "told": runtime.is_told_to_leave()}


def disguise(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Work for ever; make something else of an interrupt, as `own["how"]` says."""
    write_to_journal(runtime, own["name"])
    try:
        if own["how"] == "forked":
            runtime.run_fresh("store.fake_stage:further", "", 600.0)
        while True:
            time.sleep(0.01)
    except BaseException as error:
        if own["how"] == "chained":
            raise ValueError("signal only works in main thread") from error
        if own["how"] == "exit":
            raise SystemExit(1) from error
    raise ImportError("cannot import name 'half'")


def time_alone(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Take the host for itself, as a stage that takes times does."""
    with runtime.hold_host_alone():
        return {"metrics": {}}


def echo(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Return what was received."""
    return {
        "metrics": {},
        "stage_config": dict(own),
        "runtime": runtime.threads,
        "parents": [p.signature for p in parents],
    }


def further(digest: str, seconds: float = 0.0, journal: str | None = None) -> str:
    """Hash once more; tell the journal which process does."""
    if journal:
        _append_line(journal, f"child {os.getpid()}")
    time.sleep(seconds)
    return sha256(digest.encode()).hexdigest()


def misbehave(how: str) -> Any:
    """What a function in a fresh process can do wrong."""
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "data":
        _load_missing_data()
    if how == "memory":
        fill_memory()
    if how == "large":
        return "x" * 3_000_000
    if how == "pids":
        return [os.getpid(), os.getppid()]
    raise ERRORS_BY_KIND.get(how) or RuntimeError("it broke\nbadly")


def write_to_journal(runtime: Runtime, text: str) -> None:
    """Append to the journal, if there is one."""
    if runtime.data_root:
        _append_line(runtime.data_root, f"{text} {os.getpid()}")


def fill_memory(room_bytes: int = 1 << 28) -> None:
    """Allocate more memory than this process may have, which is `room_bytes` more than it has."""
    used_pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = used_pages * resource.getpagesize() + room_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    blocks = [bytes(room_bytes // 16) for _ in range(32)]
    raise AssertionError(f"{len(blocks)} blocks should not have fitted")


def _load_missing_data() -> None:
    from convarium.datasets.loading import load_splits

    load_splits({"name": "mnist", "channels": 1, "classes": 10, "fingerprint": None}, root="/nowhere")


def _append_line(journal: str, text: str) -> None:
    with Path(journal).open("a") as file:
        file.write(text + "\n")


def _hash_start(own: Mapping[str, Any], parents: tuple[Parent, ...]) -> str:
    digest = sha256(f"{own['name']} {own['seed']}".encode())
    for parent in parents:
        digest.update((parent.folder / "network.cvm").read_bytes())
    return digest.hexdigest()
