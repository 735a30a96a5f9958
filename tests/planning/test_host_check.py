"""Hardware is named where workers start on other hosts, and what this host must have is said before they start."""

from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import SMALL_MLP, Call
from convarium.config.override import Override
from convarium.search.command_line import parse_command_line

FAR_LAUNCHER = "_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher\n"
NAMED_CPU, NAMED_GPU = 'measurement.cpu="AMD EPYC 7543"', 'measurement.gpu="NVIDIA H200"'
TIMED_ON_GPU = ("measurement.executors=[eager]", "measurement.device=gpu")


@pytest.fixture
def call_far(call: Call, write: Callable[[str, str], Path]) -> Callable[..., tuple[int, str]]:
    """Plan for a launcher that may start workers on other hosts; returns exit code and stderr."""
    write("conf/hydra/launcher/far.yaml", FAR_LAUNCHER)

    def call_plan(*overrides: str) -> tuple[int, str]:
        code, _, error = call("plan", "--fast", *SMALL_MLP, "hydra/launcher=far", *overrides)
        return code, error

    return call_plan


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["measurement.executors=[eager]"], "cpu"),
        (["compression=filter_l1", "budget.latency=0.5"], "cpu"),
        ([*TIMED_ON_GPU, NAMED_GPU], "cpu"),
        ([*TIMED_ON_GPU, NAMED_CPU], "gpu"),
    ],
)
def test_a_launcher_of_other_hosts_needs_names_of_what_is_timed(
    call_far: Callable[..., tuple[int, str]], overrides: list[str], key: str
) -> None:
    code, error = call_far(*overrides)
    lines = error.splitlines()
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith(
        f"convarium: measurement.{key}=null is this host's, and hydra/launcher=far starts workers"
    )


@pytest.mark.parametrize("overrides", [[], ["measurement.executors=[eager]", NAMED_CPU]])
def test_what_is_named_or_not_timed_may_run_anywhere(
    call_far: Callable[..., tuple[int, str]], overrides: list[str]
) -> None:
    assert call_far(*overrides) == (0, "")


@pytest.mark.parametrize("launcher", ["basic", "joblib", "local"])
def test_workers_of_this_host_need_no_names(call: Call, launcher: str) -> None:
    command = ("plan", "--fast", *SMALL_MLP, "measurement.executors=[eager]", f"hydra/launcher={launcher}")
    assert call(*command)[0] == 0


SEARCH = ("hydra/launcher=far", "compression=none,filter_l1")


def test_a_search_whose_trials_are_timed_needs_the_names_too(
    call: Call, write: Callable[[str, str], Path], here: Path
) -> None:
    write("conf/hydra/launcher/far.yaml", FAR_LAUNCHER)
    code, out, error = call("search", *SMALL_MLP, *SEARCH, "budget.latency=0.5")
    assert (code, out, len(error.splitlines())) == (2, "", 1)
    assert "measurement.cpu=null is this host's, and hydra/launcher=far starts workers on others" in error
    assert not (here / "outputs").exists()


def test_a_search_times_nothing_for_the_executors_of_a_later_run(write: Callable[[str, str], Path]) -> None:
    write("conf/hydra/launcher/far.yaml", FAR_LAUNCHER)
    line = (*SMALL_MLP, *SEARCH, "measurement.executors=[eager]")
    assert parse_command_line([Override(text) for text in line]).possible_trial is not None
