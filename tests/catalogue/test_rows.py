"""The catalogue knows every system of the review, and what runs it is really there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torchvision

from command_lines import Call
from convarium.architectures.dry_run import dry_run_architecture
from convarium.catalogue.network_counts import build_architecture_config
from convarium.catalogue.papers import read_catalogue_yaml
from convarium.catalogue.rows import CatalogueRow, read_catalogue_rows
from convarium.cli.catalogue import load_checks
from convarium.compose.points import compose_points

BUILT = [row for row in read_catalogue_rows() if row.config]
WITH_CHECK = ", ".join(sorted(load_checks()))
OF_LIBRARIES = [row for row in BUILT if row.config and "architecture.name=" in row.config]


def test_it_holds_the_whole_review() -> None:
    kinds = [row.kind for row in read_catalogue_rows()]
    assert {kind: kinds.count(kind) for kind in kinds} == {"architectures": 237, "compression": 106, "search": 63}
    assert all(row.id and row.section and row.name for row in read_catalogue_rows())


@pytest.mark.parametrize("row", [row for row in BUILT if row not in OF_LIBRARIES], ids=lambda row: row.id)
def test_what_runs_a_row_of_ours_is_a_command_that_is_accepted(row: CatalogueRow) -> None:
    assert row.config is not None
    assert compose_points(row.config.split()).check_points()


@pytest.mark.parametrize("row", OF_LIBRARIES, ids=lambda row: row.id)
def test_what_runs_a_row_of_a_library_is_a_network_of_its(row: CatalogueRow) -> None:
    assert row.config is not None
    source, name = (text.partition("=")[2] for text in row.config.split())
    assert timm.is_model(name) if source == "timm" else name in torchvision.models.list_models()


BLOCKS = [row for row in BUILT if row.kind == "architectures" and not row.network]
SHAPES = {row.config: row for row in BUILT if row.network}


@pytest.mark.parametrize("row", BLOCKS, ids=lambda row: row.id)
def test_a_block_is_in_a_network_that_takes_the_images_of_its_paper(row: CatalogueRow) -> None:
    """Whole networks run when they are counted (tests/architectures/test_catalogue_counts.py)."""
    found = build_architecture_config(row)
    if whole := SHAPES.get((row.config or "").split()[0]):
        found |= {key: build_architecture_config(whole)[key] for key in ("in_chans", "num_classes", "img_size")}
    else:
        found |= {"in_chans": 1, "num_classes": 10, "img_size": 28}
    dry_run_architecture(found)


def test_ids_are_unique_in_their_table_and_what_stands_in_two_is_one_system() -> None:
    found: dict[str, list[CatalogueRow]] = {}
    for row in read_catalogue_rows():
        found.setdefault(row.id, []).append(row)
    twice = {name: several for name, several in found.items() if len(several) > 1}
    assert all(len({row.kind for row in several}) == len(several) for several in found.values())
    assert twice.keys() == {"dropout", "dropconnect"}
    assert all(len({(row.name, row.config) for row in several}) == 1 for several in twice.values())


def test_what_runs_a_row_is_of_a_row() -> None:
    """A name in built.yaml or commands.yaml that no table has is a slip of ours."""
    assert read_catalogue_yaml("built.yaml").keys() | read_catalogue_yaml("commands.yaml").keys() <= {
        row.id for row in read_catalogue_rows()
    }
    assert not read_catalogue_yaml("built.yaml").keys() & read_catalogue_yaml("commands.yaml").keys()


def test_a_system_of_compression_is_run_by_a_compression() -> None:
    """A network alone compresses nothing, nor does it learn from a teacher."""
    of_compression = [row for row in read_catalogue_rows() if row.config and row.section.startswith("4")]
    assert len(of_compression) >= 6
    assert {row.id for row in of_compression if not str(row.config).startswith("compression=")} == {
        "dropout", "dropconnect",  # regularisers, which the review's section 4.1 has among prunings
    }  # fmt: skip


@pytest.mark.parametrize("row", ["twn", "ttq", "deit"])
def test_a_row_whose_algorithm_is_not_there_is_not_built(row: str) -> None:
    (found,) = [one for one in read_catalogue_rows() if one.id == row]
    assert found.run_text is None


def test_a_row_that_a_command_runs_is_built_and_names_the_command(call: Call) -> None:
    shown = {row["id"]: row for row in json.loads(call("--section", "3.1", "--built", "--json")[1])["rows"]}
    found = shown["deconvnet_visualiser"]
    assert (found["status"], found["config"], found["verdict"], found["reason"]) == ("built", None, "built", "")
    assert found["command"] == "convarium inspect SIGNATURE --deconvnet FILE.png"
    assert [row.command.split()[1] for row in read_catalogue_rows() if row.command] == ["inspect"]
    assert "--deconvnet" in call("--section", "3.1")[1]


@pytest.mark.parametrize(
    "row", [row for row in read_catalogue_rows() if row.kind == "architectures"], ids=lambda row: row.id
)
def test_an_architecture_is_built_or_says_why_not(row: CatalogueRow) -> None:
    assert bool(row.run_text) != bool(row.reason)


def test_every_check_is_of_a_row_and_a_sweep_that_is_accepted() -> None:
    assert load_checks().keys() <= {row.id for row in read_catalogue_rows()}
    for name, check in load_checks().items():
        points = compose_points([f"sweep=checks/{name}"]).check_points()
        assert check["chain"] in [[step["method"] for step in point.config["compression"]] for point in points]


def test_a_section_has_its_subsections_and_built_ones_alone_if_asked(call: Call) -> None:
    code, out, _ = call("--section", "4.1", "--json")
    found = json.loads(out)["rows"]
    assert code == 0
    assert {row["section"] for row in found} == {"4.1", "4.1.1", "4.1.2", "4.1.3", "4.1.4"}
    regularisers = [(row["kind"], row["id"]) for row in found if row["id"].startswith("drop")]
    assert regularisers == [
        ("architectures", "dropconnect"),
        ("compression", "dropout"),
        ("compression", "dropconnect"),
    ]
    code, out, _ = call("--section", "4.1", "--built", "--json")
    built = json.loads(out)["rows"]
    assert {row["id"] for row in built} >= {"learning_both", "deep_compression", "l1_filter", "dropout"}
    assert [row["id"] for row in found if row["config"]] == [row["id"] for row in built]


def test_a_row_without_a_command_or_a_check_says_so(call: Call) -> None:
    _, out, _ = call("--section", "4.1.1")
    assert "not built" in out
    assert "no check" in out


def test_a_row_of_the_document_has_what_one_needs_to_judge_it(call: Call) -> None:
    _, out, _ = call("--json")
    found = {row["id"]: row for row in json.loads(out)["rows"]}
    wanted = {"id", "section", "name", "config", "status", "parameters", "macs", "input", "claims", "ours"}
    assert all(row.keys() >= wanted for row in found.values())
    assert {row["status"] for row in found.values()} <= {"built", "not built", "left out", "check holds", "check fails"}
    vgg = found["vgg16"]
    assert (vgg["parameters"], vgg["macs"], vgg["input"]) == (138_357_544, 15_470_264_320, 224)
    (top5,) = [claim for claim in vgg["claims"] if claim["metric"] == "accuracy"]
    assert (top5["figure"], top5["unit"], top5["direction"]) == (92.7, "% top-5 on ImageNet", "higher")
    assert (vgg["code"], vgg["licence"]) == ("timm", "Apache-2.0")
    assert vgg["paper"]["accuracy"] == "92.7 top-5 (submission of 2014)"
    deep = found["deep_compression"]["claims"][0]
    assert (deep["figure"], deep["unit"], deep["direction"]) == (40, "times fewer bytes", "higher")
    assert found["obd"]["status"] == "not built"
    assert found["obd"]["config"] is None


def test_it_is_printed_without_anything_that_takes_long_to_import(here: Path) -> None:
    """How long that is, benchmarks/startup.py measures."""
    code = "import sys; from convarium.cli import main; main(['catalogue']); print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=here, check=True, capture_output=True, text=True).stdout
    imported = set(out.splitlines()[-1].split())
    assert not imported & {"torch", "numpy", "scipy", "pandas", "sklearn", "timm", "lightning", "mlflow", "onnx"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--section", "9"], "--section 9: the catalogue has none; sections are 2.1 to 7"),
        (["--check", "deep_compresion"], "--check deep_compresion: no such row (did you mean deep_compression?)"),
        (
            ["--section", "3.3", "foo.bar=1"],
            "foo.bar=1: catalogue takes runtime.…; the rest is of a check: --check ROW",
        ),
        (
            ["architecture=nonsense"],
            "architecture=nonsense: catalogue takes runtime.…; the rest is of a check: --check ROW",
        ),
        (["runtime.stor=x"], "runtime.stor: no such key (did you mean store?)"),
        (["--check", "obd"], f"--check obd: it has no check; rows with one: {WITH_CHECK}"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], line: str, call: Call) -> None:
    assert call(*arguments) == (2, "", f"convarium: {line}\n")
