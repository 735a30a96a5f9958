import json
import subprocess
import sys
from importlib.metadata import version

from convarium.store.provenance import forget_peak_memory, peak_memory_bytes, provenance, source
from store.fake_run import ENVIRONMENT


def test_provenance_is_json_and_names_what_figures_depend_on() -> None:
    found = json.loads(json.dumps(provenance()))
    assert found["versions"]["torch"] == version("torch")
    assert found["source"] == source()
    assert len(source()) == 12
    assert found["host"]["cores"] >= 1
    assert found["git"] is None or set(found["git"]) == {"sha", "dirty"}


def test_peak_memory_is_that_of_the_stage_not_of_its_predecessors() -> None:
    block = bytearray(200_000_000)
    high = peak_memory_bytes()
    del block
    forget_peak_memory()
    assert peak_memory_bytes() < high - 100_000_000


def test_the_store_imports_no_torch() -> None:
    rooms = "controller fresh estimate provenance progress reuse execute"
    code = f"import sys; from convarium.store import {', '.join(rooms.split())}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
