"""A network's file leads to its row, and the row to the images that its figures are stated for."""

import re

import pytest

from convarium.catalogue.paper_inputs import PaperInput, find_architecture_row, get_paper_input
from convarium.catalogue.rows import read_catalogue_rows
from convarium.config.search_path import find_builtin_folder, list_group_options

STATED = re.compile(r" at (\d+)x(\d+)x\d+, (\d+) classes")
LENET = ("basic/lenet5_1998", "basic/lenet5_modern")  # stated at MNIST's 28 pixels, which get the border of the paper


@pytest.mark.parametrize(
    ("option", "row", "images"),
    [
        ("cross_layer/resnet18", "resnet18", PaperInput(3, 1000, 224)),
        ("splitting/inception_v3", "inception_v3", PaperInput(3, 1000, 299)),
        ("cross_layer/resnet20", "resnet20_cifar", PaperInput(3, 10, 32)),
        ("basic/lenet5_1998", "lenet5_original", PaperInput(1, 10, 32)),
        ("cross_layer/resnet10", "resnet10", PaperInput(3, 1000, 256)),
        ("depthwise/shufflenet_v1_g3", "shufflenet_v1_g3", PaperInput(3, 1000, 224)),
    ],
)
def test_the_row_of_a_network_and_its_images(option: str, row: str, images: PaperInput) -> None:
    found = find_architecture_row(option)
    assert found is not None
    assert (found.id, get_paper_input(found)) == (row, images)


@pytest.mark.parametrize("option", ["basic/lenet5", "basic/mlp", "timm", "torchvision"])
def test_what_is_no_network_of_a_paper_has_no_row(option: str) -> None:
    assert find_architecture_row(option) is None


def test_a_row_of_a_library_is_found_by_its_name_there() -> None:
    found = find_architecture_row("timm", "pvt_v2_b0")
    assert found is not None
    assert found.id == "pvt_v2_b0"
    assert find_architecture_row("timm", "resnet10t") is None


def test_the_images_are_those_that_the_head_of_each_file_states() -> None:
    compared = 0
    for option in list_group_options("architecture"):
        stated = STATED.search(
            (find_builtin_folder("conf") / "architecture" / f"{option}.yaml").read_text(encoding="utf-8")
        )
        row = find_architecture_row(option)
        if stated and row and option not in LENET:
            channels, side, classes = (int(number) for number in stated.groups())
            assert get_paper_input(row) == PaperInput(channels, classes, side), option
            compared += 1
    assert compared > 80


def test_no_two_networks_share_a_file() -> None:
    configs = [row.config for row in read_catalogue_rows() if row.network and row.config]
    assert len(configs) == len(set(configs))


def test_images_that_are_not_square_have_their_height_first() -> None:
    images = PaperInput(3, 19, 512, 1024)
    assert (images.shape, images.size_text) == ((3, 512, 1024), "512x1024")
    assert (PaperInput(1, 10, 28).shape, PaperInput(1, 10, 28).size_text) == ((1, 28, 28), "28")
