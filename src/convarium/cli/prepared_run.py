"""What a run of a command line's points needs: its plan, and a launcher where something is missing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convarium.compose.points import PointRequest
    from convarium.planning.plan import Plan
    from convarium.store.store import Store
    from convarium.workers.backend import Backend
    from convarium.workers.run_file import Run


@dataclass(frozen=True)
class PreparedRun:
    """A run that can begin.

    Attributes:
        done: signatures of the results that were stored when it was prepared.
        build_backend: returns what starts the workers of a run.
        workers: how many at most.
        threads: of each worker.
        devices: how many GPUs each worker has, where its host has any; 0: none.
        idle_minutes, scheduler: see `Run`.
        has_lasting_workers: whether others start the workers, which outlive the command.
    """

    plan: "Plan"
    store: "Store"
    done: frozenset[str]
    build_backend: "Callable[[Run], Backend]"
    workers: int
    threads: int
    devices: int
    idle_minutes: float
    scheduler: str | None
    has_lasting_workers: bool = False


def prepare_run(request: "PointRequest") -> PreparedRun:
    """Check what can be checked before anything is started.

    Where nothing is missing, no network is built on the meta device, and nothing is launched.

    Raises:
        UserError: a point can't be made, the launcher refuses its settings, or this host lacks what workers need here.
    """
    request = replace(request, points=request.check_points(), invalid=())
    from convarium.compose.store_access import open_store
    from convarium.compose.task_devices import check_task_devices
    from convarium.compose.worker_counts import count_devices, count_threads, count_workers
    from convarium.planning.host_check import check_devices, check_host, is_launched_here
    from convarium.planning.stage_graph import build_plan
    from convarium.store.disk import cache_folder_of

    plan, store = build_plan(request.points), open_store(request.runtime)
    devices, idle_minutes = count_devices(request.runtime), float(request.runtime["idle_minutes"])
    done = frozenset(store.select_finished(plan.nodes))
    if len(done) == len(plan.nodes):
        return PreparedRun(plan, store, done, _build_no_backend, 1, 1, devices, idle_minutes, None)
    # Imports torch, which a run of stored results needn't wait for.
    from convarium.cli.network_validation import validate_networks
    from convarium.compose.hydra_launcher import (
        build_backend_builder,
        compose_launcher_config,
        find_scheduler,
        has_lasting_workers,
    )

    is_here = is_launched_here(request.launcher_overrides)
    # Hydra's basic launcher runs its jobs one after another in this process.
    is_basic = "hydra/launcher=basic" in request.launcher_overrides
    workers = 1 if is_basic else count_workers(request.runtime, is_here)
    plan = build_plan(validate_networks(request).check_points())
    config = compose_launcher_config(request.composer.loader, request.launcher_overrides, store.root.resolve(), workers)
    check_task_devices(request.runtime, config.hydra.launcher)
    threads = count_threads(request.runtime, workers, config.hydra.launcher)
    build_backend = build_backend_builder(config)
    if is_here:
        check_devices(devices)
        needed = plan.select_needed(done)
        check_host([plan.nodes[signature] for signature in needed], cache_folder_of(store.root))
    return PreparedRun(
        plan,
        store,
        done,
        build_backend,
        workers,
        threads,
        devices,
        idle_minutes,
        find_scheduler(config),
        has_lasting_workers(config),
    )


def _build_no_backend(run: "Run") -> "Backend":
    raise AssertionError("all is stored: nothing is run")
