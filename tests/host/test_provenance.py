import json
import subprocess
import sys
from importlib.metadata import version

from convarium.host.provenance import collect_provenance, hash_source, measure_peak_memory_bytes, reset_peak_memory
from store.fake_run import SUBPROCESS_ENVIRONMENT


def test_provenance_is_json_and_names_what_figures_depend_on() -> None:
    found = json.loads(json.dumps(collect_provenance()))
    assert found["versions"]["torch"] == version("torch")
    assert found["source"] == hash_source()
    assert len(hash_source()) == 12
    assert found["host"]["cores"] >= 1
    assert found["git"] is None or set(found["git"]) == {"sha", "dirty"}


def test_peak_memory_is_that_of_the_stage_not_of_its_predecessors() -> None:
    block = bytearray(200_000_000)
    high = measure_peak_memory_bytes()
    del block
    reset_peak_memory()
    assert measure_peak_memory_bytes() < high - 100_000_000


def test_the_workers_import_no_torch() -> None:
    modules = "controller fresh_process progress stored_inputs run_stage"
    code = f"import sys; from convarium.workers import {', '.join(modules.split())}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=SUBPROCESS_ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
