"""A stage is a module that declares itself: its config, its version, and the function that runs it."""

import subprocess
import sys

import pytest

from convarium.lookup import find_by_name
from convarium.stages.compress import CompressConfig
from convarium.stages.declaration import StageDeclaration, find_stages, makes_network

STEP = {"step": {"method": "coding/xz"}, "dataset": {}, "task": {}, "recipe": {}, "seed": 0, "references": []}


def test_all_stages_are_found_by_what_their_modules_declare() -> None:
    assert sorted(find_stages()) == ["adopt", "compress", "execute", "measure", "score", "time", "train"]


@pytest.mark.parametrize("stage", find_stages().values(), ids=find_stages())
def test_a_stage_s_function_has_its_name(stage: StageDeclaration) -> None:
    assert find_by_name("stages", stage.name).__module__ == f"convarium.stages.{stage.name}"


def test_what_is_not_set_leaves_no_trace_in_what_is_hashed() -> None:
    assert CompressConfig(**STEP).to_json() == STEP
    assert CompressConfig(**STEP, following=[]).to_json() == {**STEP, "following": []}


def test_networks_are_made_by_training_adopting_and_compressing_only() -> None:
    assert {name for name in (*find_stages(), "no such stage") if makes_network(name)} == {"adopt", "compress", "train"}


def test_declaring_imports_nothing_heavy() -> None:
    code = (
        "import sys; from convarium.stages.declaration import find_stages; find_stages();"
        " print({'torch', 'hydra', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
