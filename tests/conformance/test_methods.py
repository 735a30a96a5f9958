"""Every method of ours passes the suite for outside ones: a YAML that is added is tried without a line here.

Each is tried on one of the suite's networks, the next method on the next network; on the others by `make nightly`.
Kills and chains with other methods are tried on LeNet-5, for each of them.
"""

from pathlib import Path

import pytest

from convarium.config.option_file import read_option
from convarium.config.search_path import find_builtin_folder, list_config_names
from convarium.conformance import MethodSuite
from convarium.conformance.dense_networks import TRIED_NETWORKS

FOLDER = find_builtin_folder("conf") / "compression"
SHORT_KNOBS = {"epochs": 1, "round_epochs": 1, "rounds": 2, "max_iterations": 5}
REQUIRED_OVERRIDES = {"transfer/kd": ("compression.kd.teacher.architecture=lenet300_100",)}
TRIED_ELSEWHERE = ("none", "control/nncodec")  # nothing; a program of its own (tests/compression/external_coders)
METHODS = [name for name in list_config_names(FOLDER) if name not in TRIED_ELSEWHERE]
CONTROLS = {"must_work_on": ()}
CODING = {"required_methods": ("pruning/magnitude",), "methods_before": (), "methods_after": ()}


def list_overrides(method: str) -> tuple[str, ...]:
    knobs = read_option(Path(FOLDER, f"{method}.yaml"))
    name = method.rpartition("/")[2]
    short_knobs = (f"compression.{name}.{knob}={value}" for knob, value in SHORT_KNOBS.items() if knob in knobs)
    return (*short_knobs, *REQUIRED_OVERRIDES.get(method, ()))


def select_nightly_networks(position: int) -> tuple[str, ...]:
    """Return all but one of the suite's networks; the one left out changes from method to method."""
    names = tuple(TRIED_NETWORKS)
    return tuple(name for name in names if name != names[position % len(names)])


for position, method in enumerate(METHODS):
    title = "Test" + method.title().replace("/", "").replace("_", "")
    special = {"control": CONTROLS, "coding": CODING}.get(method.partition("/")[0], {})
    fields = {
        "method": method,
        "overrides": list_overrides(method),
        "nightly_networks": select_nightly_networks(position),
        "pytestmark": pytest.mark.xdist_group(method),  # what is tried is made once
        **special,
    }
    unknown = [field for field in fields if not hasattr(MethodSuite, field) and field not in ("method", "pytestmark")]
    assert not unknown, f"the suite has no {unknown}"
    globals()[title] = type(title, (MethodSuite,), fields)
