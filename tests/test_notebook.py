"""In a notebook, what is stored is a table, and a signature opens what lies there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import convarium
from command_lines import ONE_WORKER
from convarium.cli import main
from convarium.errors import UserError

POINT = ["architecture=mlp", "dataset=digits", "dataset.train_size=200", "recipe.epochs=2", "seed=0,1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    notebook_folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(notebook_folder)
        assert main(["run", *POINT, "compression=none,uniform", *ONE_WORKER]) == 0
        yield notebook_folder


@pytest.mark.usefixtures("folder")
def test_a_comparison_is_a_line_a_row() -> None:
    table = convarium.results(*POINT, "compression=none,uniform")
    assert list(table["methods"].fillna("")) == ["", "quantization/uniform"]
    assert list(table["seeds_count"]) == [2, 2]
    assert len(convarium.results()) == 2
    assert len(convarium.results(where=("ratio>2",))) == 1


def test_what_is_no_text_is_told_as_a_value_error() -> None:
    with pytest.raises(ValueError, match="3 is not text, expected an override such as 'seed=0'"):
        convarium.results(3)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="7 is not text, expected a signature"):
        convarium.open(7)


@pytest.mark.usefixtures("folder")
def test_a_signature_opens_record_curves_and_network() -> None:
    table = convarium.results(*POINT, "compression=none")
    opened = convarium.open(table["signatures"][0].split()[0][:8])
    assert opened.record["stage"] == "train"
    assert list(opened.curves()["epoch"]) == [1, 2]
    assert opened.network()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    pipeline = convarium.results(*POINT, "compression=uniform")["signatures"][0].split()[0]
    curves = convarium.open(pipeline).curves()
    assert list(curves["signature"])[:2] == [convarium.open(pipeline).record["parents"][0]] * 2
    assert next(iter(curves["phase"].unique())) == "train"
    with pytest.raises(UserError, match="nothing in the store"):
        convarium.open("zzzz")
