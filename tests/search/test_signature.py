"""What makes a search another one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.config.override import Override
from convarium.search.command_line import build_search
from convarium.search.search import compute_search_signature

METHOD = """# @package compression.cut
method: {family}/cut
version: {version}
phases: [{{decider: filter_l1}}]
channels_removed: 0.5
_leaves_: [narrower]
_search_: {{channels_removed: 'interval(0.1,0.9)'}}
"""
SPACE = ("architecture=mlp", "dataset=digits", "recipe.lr=interval(0.01,0.1)")
PIPELINE = ("search/space=pipeline", "search.space.families=[mine]")
Write = Callable[[str, str], Path]


def _sign(*texts: str) -> str:
    search, _ = build_search([Override(text) for text in (*SPACE, *texts)])
    return compute_search_signature(search.describe())


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param(("compression=cut",), id="in all trials"),
        pytest.param(("compression=none,[cut,kmeans]",), id="in some trials"),
        pytest.param(PIPELINE, id="chosen by a function"),
    ],
)
def test_a_method_of_another_version_makes_another_search(typed: tuple[str, ...], write: Write) -> None:
    signatures = []
    for version in (1, 1, 2):
        write("conf/compression/mine/cut.yaml", METHOD.format(family="mine", version=version))
        signatures.append(_sign(*typed))
    assert signatures[0] == signatures[1] != signatures[2]


def test_a_file_of_several_steps_has_the_versions_of_their_methods(write: Write) -> None:
    write(
        "conf/compression/twice.yaml",
        "defaults:\n  - /compression/mine/cut@_global_.compression.first\n"
        "  - /compression/mine/cut@_global_.compression.second\n",
    )
    signatures = set()
    for version in (1, 2):
        write("conf/compression/mine/cut.yaml", METHOD.format(family="mine", version=version))
        signatures.add(_sign("compression=none,twice"))
    assert len(signatures) == 2


def test_the_version_of_a_method_that_no_trial_has_makes_no_other_search(write: Write) -> None:
    signatures = set()
    for version in (1, 2):
        write("conf/compression/mine/cut.yaml", METHOD.format(family="mine", version=version))
        signatures.add(_sign("compression=none,kmeans"))
    assert len(signatures) == 1


def test_a_choice_that_cannot_be_composed_makes_its_trials_refused_and_not_the_search(write: Write) -> None:
    write("conf/compression/mine/cut.yaml", "# @package compression.cut\ndefaults: [/base/nothing@_here_]\n")
    assert _sign("compression=none,cut")
