"""Whether a network is what is printed of it, and what the review has wrong, told in figures and words."""

import json
from dataclasses import replace
from importlib.metadata import metadata

import pytest

from command_lines import Call
from convarium.catalogue.agreement import compare_printed_counts, describe_agreement
from convarium.catalogue.code_sources import SOURCE_LICENCES, derive_library_overrides, find_code_source
from convarium.catalogue.papers import Paper, read_side_tables
from convarium.catalogue.rows import CatalogueRow, get_main_section, read_catalogue_rows

ROWS = {row.id: row for row in reversed(read_catalogue_rows())}
NETWORK = replace(ROWS["resnet20_cifar"], parameters=269_722, macs=40_551_040, slips=(), paper=Paper())


@pytest.mark.parametrize(
    ("printed", "count", "agrees"),
    [
        ("0.27M", 269_722, True),
        ("60,000", 60_000, True),
        ("60,000", 64_000, False),
        ("5M", 5_717_416, True),
        ("5.0M", 5_717_416, False),
        ("0.2M", 175_066, True),
        ("39K", 38_986, True),
        ("27.21M", 33_337_704, False),
    ],
)
def test_a_count_agrees_within_5_percent_or_the_last_printed_digit(printed: str, count: int, agrees: bool) -> None:
    (agreement,) = compare_printed_counts(replace(NETWORK, parameters=count, paper=Paper(parameters=printed)))
    assert (agreement.quantity, agreement.printed_by, agreement.printed) == ("parameters", "paper", printed)
    assert agreement.agrees == agrees


def test_a_verdict_names_each_printed_figure_and_by_how_much_ours_is_off() -> None:
    row = replace(NETWORK, paper=Paper(parameters="0.27M", macs="45M", reading="own"))
    assert describe_agreement(row) == "differs: MACs -9.9 % to the paper's; own reading"
    assert describe_agreement(replace(row, macs=45_000_000)) == (
        "agrees (parameters -0.1 % to the paper's, MACs +0.0 % to the paper's); own reading"
    )
    assert describe_agreement(replace(row, paper=Paper(), slips=("wrong year",))) == (
        "no count is printed; review's slip: wrong year"
    )


def test_what_is_not_built_says_why() -> None:
    assert describe_agreement(ROWS["cspresnet10"]).startswith("left out: its authors published no configuration")
    assert describe_agreement(ROWS["rpn"]) == "not built: detection comes later"
    assert compare_printed_counts(ROWS["cspresnet10"]) == ()


@pytest.mark.parametrize(
    "row", [row for row in read_catalogue_rows() if row.network and row.config], ids=lambda row: row.id
)
def test_a_network_that_differs_from_the_review_is_a_slip_that_is_told(row: CatalogueRow) -> None:
    """A network of ours that is not the paper's fails here; the review's own mistakes are in slips.tsv."""
    differing = [agreement for agreement in compare_printed_counts(row) if not agreement.agrees]
    assert all(agreement.printed_by == "review" for agreement in differing)
    assert row.slips or not differing


def test_every_note_is_of_a_row_and_what_is_left_out_is_not_built() -> None:
    others = read_side_tables()
    named = {*others.papers, *others.slips, *others.left_out, *others.not_built}
    assert named <= {row.id for row in read_catalogue_rows() if row.kind == "architectures"}
    assert all(ROWS[name].config is None for name in (*others.left_out, *others.not_built))
    assert set(others.sections) <= {get_main_section(row) for row in read_catalogue_rows()}


def test_what_the_tables_call_wrong_is_told_as_a_slip() -> None:
    loud = [
        row.id
        for row in read_catalogue_rows()
        if any(word in row.agrees for word in ("NO:", "NO for", "SWAPPED", "NAMED WRONG"))
    ]
    assert len(loud) > 10
    assert all(ROWS[name].slips for name in loud)


def test_a_network_of_a_library_needs_no_file_and_a_class_of_one_is_no_name() -> None:
    assert ROWS["pvt_v2_b0"].config == "architecture=timm architecture.name=pvt_v2_b0"
    assert derive_library_overrides("timm+torchvision", "swin_t / swin") == "architecture=timm architecture.name=swin_t"
    assert derive_library_overrides("timm (class)", "timm.models.resnet.ResNet(BasicBlock)") is None
    assert derive_library_overrides("none", "-") is None


def test_the_licence_is_that_of_the_code_that_builds_it() -> None:
    assert [ROWS[name].licence for name in ("vgg16", "googlenet", "resnet20_cifar", "cspresnet10")] == [
        "Apache-2.0",
        "BSD-3-Clause",
        "Apache-2.0",
        "",
    ]
    assert find_code_source("architecture=nowhere/at_all") == find_code_source("compression=coding/xz") == ""
    for package in ("timm", "torchvision", "convarium"):
        told = metadata(package)
        code = "own" if package == "convarium" else package
        assert SOURCE_LICENCES[code].split("-")[0] in f"{told['License']} {told['License-Expression']}"


def test_a_section_is_printed_with_figures_verdict_and_licence(call: Call) -> None:
    _, out, _ = call("--section", "3.3")
    for word in ("review", "paper", "ours", "verdict", "code, licence", "5,244,968", "not known"):
        assert word in out
    _, out, _ = call("--section", "3.3", "--json")
    found = {row["id"]: row for row in json.loads(out)["rows"]}
    dense = found["densenet264"]
    assert dense["verdict"].startswith("differs: parameters +22.5 % to the review's; review's slip: 27.21M are blocks")
    (count,) = dense["agreements"]
    assert (count["what"], count["of"], count["printed"], count["agrees"]) == ("parameters", "review", "27.21M", False)
    assert count["off"] == pytest.approx(0.225, abs=1e-3)
    assert found["cspdensenet201"]["status"] == "left out"
    assert found["resnet10"]["paper"]["parameters"] == "5,244,968"
