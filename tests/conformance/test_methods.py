"""Every method of ours passes the suite for outside ones: a YAML that is added is tried without a line here."""

from pathlib import Path
from typing import Any

import yaml

from convarium.config.search_path import find_builtin_folder, list_config_names
from convarium.conformance import MethodSuite

FOLDER = find_builtin_folder("conf") / "compression"
BRIEF = {"epochs": 1, "round_epochs": 1, "rounds": 2, "max_iterations": 5}
NEEDED = {"transfer/kd": ("compression.kd.teacher.architecture=lenet300_100",)}
ELSEWHERE = ("none", "control/nncodec")  # nothing; a program of its own (tests/compression/external_coders)
CONTROLS = {"must_work_on": ()}
CODING = {"required_methods": ("pruning/magnitude",), "methods_before": (), "methods_after": ()}


def overrides(method: str) -> tuple[str, ...]:
    knobs: dict[str, Any] = yaml.safe_load(Path(FOLDER, f"{method}.yaml").read_text(encoding="utf-8"))
    name = method.rpartition("/")[2]
    brief = (f"compression.{name}.{knob}={value}" for knob, value in BRIEF.items() if knob in knobs)
    return (*brief, *NEEDED.get(method, ()))


for method in list_config_names(FOLDER):
    if method not in ELSEWHERE:
        title = "Test" + method.title().replace("/", "").replace("_", "")
        special = {"control": CONTROLS, "coding": CODING}.get(method.partition("/")[0], {})
        fields = {"method": method, "overrides": overrides(method), **special}
        globals()[title] = type(title, (MethodSuite,), fields)
