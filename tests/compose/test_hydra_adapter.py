"""Hydra's inside as we use it: these tests fail when an upgrade moves what compose/hydra_adapter.py takes."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import Call
from convarium.compose.hydra_adapter import Composer, _convert_to_dict
from convarium.compose.hydra_launcher import build_backend_builder, build_launch_function, compose_launcher_config
from convarium.compose.points import compose_points
from convarium.config import search_path
from convarium.errors import UserError

SWEEP = [
    "architecture=lenet5,lenet300_100,mlp,resnet20",
    "compression=none,magnitude,random,[magnitude,kmeans],[random,kmeans,huffman]",
    "compression.magnitude.sparsity=0.5,0.8",
    "compression.kmeans.bits=3,5",
    "recipe.lr=0.1,0.2",
    "recipe.epochs=1,2",
    "seed=range(0,3)",
]


@pytest.fixture
def composer(here: Path) -> Composer:
    return Composer(search_path.list_search_folders("conf"))


def test_twenty_random_points_equal_hydra_s_own_composition(composer: Composer) -> None:
    asked = compose_points(SWEEP)
    groups = search_path.list_config_groups()
    for point in random.Random(0).sample(asked.points, 20):
        chosen = tuple(sorted(text for text in point.overrides if text.partition("=")[0] in groups))
        values = [text for text in point.overrides if text not in chosen]
        assert asked.composer.compose_with_values(chosen, values) == composer.compose_slowly(point.overrides)


@pytest.mark.parametrize(
    "values",
    [
        ["compression.magnitude.per_site={fc1*:0.5}", "compression.magnitude.sparsity=0.2", "recipe.early_stop=null"],
        ["compression.magnitude.per_site={fc1*:0.5}", "+compression.magnitude.per_site.conv1=0.1"],
        ["compression.magnitude.sparsity=0.2", "compression.magnitude.sparsity=0.3"],
        ["compression.magnitude={sparsity:0.4}", "compression.magnitude.rounds=3"],
        ["architecture.kwargs.width=3", "architecture.kwargs.depth=4", "compression.magnitude.sites=[conv*,fc1*]"],
        ["recipe.lr=${recipe.momentum}", "recipe.momentum=0.7"],
        ["dataset.root='a b, c'", "seed=5"],
    ],
)
def test_values_that_are_set_one_by_one_are_those_that_are_set_together(values: list[str], composer: Composer) -> None:
    groups = ("compression=pruning/magnitude",)
    for _ in range(2):
        assert composer.compose_with_values(groups, values) == _convert_to_dict(composer._apply_values(groups, values))


def test_what_is_left_open_is_told_however_much_is_set(composer: Composer) -> None:
    with pytest.raises(UserError, match=r"architecture\.name must be set"):
        composer.compose_with_values(("architecture=timm",), ["seed=1"])
    assert (
        composer.compose_with_values(("architecture=timm",), ["architecture.name=resnet10t"])["architecture"]["name"]
        == "resnet10t"
    )


def test_compositions_do_not_leak_into_each_other(composer: Composer) -> None:
    before = composer.compose_slowly(["compression=pruning/magnitude"])
    composer.compose_groups(("compression=[pruning/magnitude,quantization/kmeans]",))
    composer.compose_with_values(
        ("compression=pruning/magnitude",), ["compression.magnitude.sparsity=0.1", "recipe.lr=7"]
    )
    assert composer.compose_groups(("compression=pruning/magnitude",)) == before


@pytest.mark.parametrize(
    "settings",
    [
        ["hydra/launcher=joblib"],
        ["hydra/launcher=basic"],
        ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["hydra/launcher=joblib", "hydra.launcher.verbose=0"],
    ],
)
def test_a_stock_launcher_runs_each_job_and_leaves_nothing_behind(
    settings: list[str], composer: Composer, here: Path
) -> None:
    store = here / "a store, with = signs"
    plan = here / "plan [1], it's.json"
    launch = build_launch_function(compose_launcher_config(composer.loader, settings, store, 2), task=note)
    launch([[f"+runtime.plan={plan}", f"+runtime.worker={index}"] for index in range(2)])
    launch([[f"+runtime.plan={plan}", "+runtime.worker=2"]])
    assert sorted(path.name for path in here.iterdir()) == [store.name, *(f"{plan.name}.{index}" for index in range(3))]
    assert list(store.iterdir()) == []


def note(config: object) -> None:
    from omegaconf import OmegaConf

    plan, worker = OmegaConf.select(config, "runtime.plan"), OmegaConf.select(config, "runtime.worker")  # type: ignore[arg-type]
    Path(f"{plan}.{worker}").touch()


@pytest.mark.parametrize(
    "name",
    [
        "job_logging/none", "hydra_logging/none", "output/default", "sweeper/basic", "env/default", "config",
        "launcher/joblib", "launcher/basic",
    ],
)  # fmt: skip
def test_what_hydra_is_made_of_is_never_the_user_s(name: str, write: Callable[[str, str], Path]) -> None:
    write(f"conf/hydra/{name}.yaml", "_target_: os.system\nhandlers: 3\n")
    composer = Composer(search_path.list_search_folders("conf"))
    build_backend_builder(composer.loader, [], Path("s").resolve(), 1)
    build_backend_builder(composer.loader, ["hydra/launcher=basic"], Path("s").resolve(), 1)


def test_a_launcher_of_the_user_s_may_replace_ours_and_is_named(write: Callable[[str, str], Path], call: Call) -> None:
    write("conf/hydra/launcher/mine.yaml", "defaults: [joblib]\nn_jobs: 3\n")
    composer = Composer(search_path.list_search_folders("conf"))
    assert compose_launcher_config(composer.loader, ["hydra/launcher=mine"], Path("s"), 1).hydra.launcher.n_jobs == 3
    file = write("conf/hydra/launcher/local.yaml", "defaults: [joblib]\nn_jobs: 3\n")
    line = "conf/hydra/launcher/local.yaml of this folder is used in place of ours"
    assert line in call("plan", "--fast")[1]
    file.write_text("foo: 1\n")
    code, _, error = call("plan", "--fast")
    assert (code, error) == (2, f"convarium: hydra/launcher: no launcher: it has no _target_; {line}\n")


def test_a_launcher_s_target_may_be_a_backend_of_the_user_s(
    write: Callable[[str, str], Path], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made for the run, gets the settings of its YAML, and its workers make the results."""
    write("conf/hydra/launcher/mine.yaml", "_target_: my_cluster.ThreadBackend\nqueue: fast\n")
    write(
        "my_cluster.py",
        "from pathlib import Path\n"
        "from convarium.workers.local_backend import LocalBackend\n"
        "class ThreadBackend(LocalBackend):\n"
        "    def __init__(self, run, queue):\n"
        "        super().__init__(run)\n"
        "        Path('queue').write_text(queue)\n",
    )
    monkeypatch.syspath_prepend(Path.cwd())
    command = ("run", "architecture=mlp", "dataset=digits", "recipe.epochs=1", "runtime.workers=2", "seed=0,1")
    code, _, error = call(*command, "hydra/launcher=mine", "hydra.launcher.queue=slow")
    assert code == 0, error
    assert Path("queue").read_text() == "slow"


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("my_cluster.missing", "hydra/launcher: "),
        ("pathlib.Path", "hydra/launcher: "),
        ("builtins.dict", "is neither a launcher of Hydra's nor a backend: it has no submit()"),
    ],
)
def test_a_target_that_is_no_backend_is_refused_in_one_line(
    target: str, line: str, write: Callable[[str, str], Path], call: Call
) -> None:
    write("conf/hydra/launcher/mine.yaml", f"_target_: {target}\n")
    code, _, error = call("run", "architecture=mlp", "dataset=digits", "recipe.epochs=1", "hydra/launcher=mine")
    assert code == 2
    assert line in error
    assert error.strip().count("\n") <= 1, error
