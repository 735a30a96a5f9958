"""Help costs nothing, exit codes and streams are what scripts rely on."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import convarium.cli.ls
from convarium.cli import main
from convarium.cli.commands import COMMANDS
from convarium.compose.points import compose_points
from convarium.errors import StageFailed
from host.fake_gpus import install_fake_gpus

HEAVY = ("hydra", "omegaconf", "torch", "numpy", "rich", "yaml")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["compare", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert "usage: convarium" in check_imports_nothing_heavy([arguments])


def test_completion_of_options_imports_nothing_heavy() -> None:
    lines = [["--complete", f"convarium {name} --"] for name in COMMANDS]
    assert check_imports_nothing_heavy(lines).count("--debug") == len(COMMANDS)


def check_imports_nothing_heavy(lines: list[list[str]]) -> str:
    """Run command lines in a process of their own; return what they print."""
    code = f"""
import sys
from convarium.cli import main
for arguments in {lines!r}:
    try:
        assert main(arguments) == 0
    except SystemExit as end:
        assert end.code == 0
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    return done.stdout


def test_every_command_has_a_module_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f"usage: convarium {name}" in capsys.readouterr().out


def test_help_of_run_names_the_groups_and_who_lists_their_options(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    out = capsys.readouterr().out
    assert "groups: architecture, budget, compression," in out
    assert "convarium options compression " in out
    assert "sweep=NAME" in out


def test_help_of_search_offers_no_sweep_which_it_refuses(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    out = capsys.readouterr().out
    assert "sweep" not in out.replace("What sweeps is searched", "")
    assert "beside them search and seed" in out
    assert "search.KEY=VALUE" in out


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "convarium: interrupted"),
        (StageFailed("the loss is NaN"), 1, "convarium: the loss is NaN\n"),
        (TypeError("a\nbug"), 1, "convarium: TypeError: a bug (--debug shows where)\n"),
        (OSError(28, "No space left on device", "/x/y"), 2, "convarium: /x/y: No space left on device\n"),
    ],
)
def test_how_a_command_ends_is_in_its_exit_code(
    raised: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(argv: object) -> int:
        raise raised

    monkeypatch.setattr(convarium.cli.ls, "main", fail)
    assert main(["ls"]) == code
    assert capsys.readouterr().err.startswith(said)


def test_cfg_job_prints_the_config_of_each_point(call: Callable[..., tuple[int, str, str]]) -> None:
    import yaml

    code, out, error = call("run", "--cfg", "job", "compression=magnitude", "seed=3")
    assert (code, error) == (0, "")
    config = yaml.safe_load(out)
    assert (config["seed"], config["compression"][0]["method"]) == (3, "pruning/magnitude")


def test_python_m_convarium_is_convarium(here: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "convarium", "rum"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "convarium: rum: no such command (did you mean run?)\n"


def test_a_fast_plan_of_a_sweep_is_one_document(call: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = call("plan", "--fast", "--json", "compression=none,magnitude", "seed=0,1", "-m")
    assert code == 0
    document = json.loads(out)
    assert {key: document[key] for key in ("points", "stored", "to_run", "invalid", "stages")} == {
        "points": 4,
        "stored": 0,
        "to_run": 4,
        "invalid": [],
        "stages": {
            "train": {"stored": 0, "to_run": 2},
            "compress": {"stored": 0, "to_run": 2},
            "measure": {"stored": 0, "to_run": 4},
        },
    }


def test_a_plan_that_times_something_names_this_host_s_hardware_as_it_is_typed(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("convarium.host.hardware.read_cpu_model", lambda: "Intel(R) Xeon(R) CPU @ 2.20GHz")
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    _, out, _ = call("plan", "--fast", "measurement.executors=[eager]")
    assert "'measurement.cpu=\"Intel(R) Xeon(R) CPU @ 2.20GHz\"' 'measurement.gpu=\"Fake A\"' with torch" in out
    _, out, _ = call("plan", "--fast", "--json", "measurement.executors=[eager]")
    hardware = json.loads(out)["hardware"]
    assert (hardware["cpu"], hardware["gpu"]) == ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Fake A")
    assert f"torch {version('torch')}" in hardware["executors"]
    (typed,) = shlex.split(hardware["overrides"][0])
    (point,) = compose_points(["measurement.executors=[eager]", typed]).points
    assert point.config["measurement"]["cpu"] == hardware["cpu"]
    assert json.loads(call("plan", "--fast", "--json")[1])["hardware"] is None


def test_a_plan_lists_what_is_invalid_and_ends_with_2(call: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = call("plan", "--fast", "--json", "recipe.lr=0.1,-1")
    assert code == 2
    (one,) = json.loads(out)["invalid"]
    assert one["overrides"] == ["recipe.lr=-1"]
    assert "recipe.lr=-1.0 is out of range" in one["error"]
