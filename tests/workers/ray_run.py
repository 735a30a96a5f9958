"""A program that runs a sweep of fake stages by Hydra's stock launcher for Ray, on a Ray of its own on this host."""

import json
import sys
from pathlib import Path

from convarium.compose.hydra_adapter import Composer
from convarium.compose.hydra_launcher import build_backend_builder, compose_launcher_config
from convarium.config import search_path
from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers import controller
from convarium.workers.progress import build_progress_display
from store.fake_run import make_fake_sweep

WORKERS = 2


def make_ray_sweep(journal: Path | None = None) -> Plan:
    """A sweep whose first stages take two seconds each."""
    return make_fake_sweep(journal, width=3, seconds=0.2, epochs=10)


def main() -> None:
    """`python -m workers.ray_run STORE JOURNAL RAY_FOLDER RETRIES`: print how the nodes ended."""
    root, journal, ray_folder, retries = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    settings = [
        "hydra/launcher=ray",
        f"+hydra.launcher.ray.init.num_cpus={WORKERS}",
        "+hydra.launcher.ray.init.include_dashboard=false",
        f"+hydra.launcher.ray.init._temp_dir={ray_folder}",
        f"+hydra.launcher.ray.remote.max_retries={retries}",
    ]
    loader = Composer(search_path.list_search_folders("conf")).loader
    config = compose_launcher_config(loader, settings, root, WORKERS)
    build_backend, display = build_backend_builder(config), build_progress_display(True)
    statuses = controller.run_plan(make_ray_sweep(journal), Store(root), build_backend, WORKERS, display)
    print(json.dumps(sorted(status.error or status.state for status in statuses.values())))


if __name__ == "__main__":
    main()
