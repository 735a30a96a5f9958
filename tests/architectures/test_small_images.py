"""Every network of a file takes images of 28 and 32 pixels, or is refused in one line that names a size it takes."""

import re
from typing import Any

import pytest

from convarium.architectures.dry_run import accepts_image_size, dry_run_architecture
from convarium.architectures.image_sizes import find_larger_size
from convarium.conformance.small_architectures import find_architecture_files, read_architecture_file
from convarium.errors import UserError

NAMED = re.compile(
    r"needs images of at least (\d+) pixels|the next size that it takes is (\d+) \(dataset.img_size=\2\)"
)
TOO_LARGE_A_STEM = {  # refused at 32 pixels, with the least that their first layers leave something of
    "alexnet": 63, "alexnet_2012": 63, "zfnet": 53, "nin_imagenet": 67, "inception_v3": 75, "inception_v4": 75,
    "inception_resnet_v1": 75, "inception_resnet_v2": 75,
}  # fmt: skip


def described(option: str, side: int, **kwargs: Any) -> dict[str, Any]:
    found = read_architecture_file(option)
    shape = {"in_chans": 1, "num_classes": 10, "img_size": side}
    return {**found, **shape, "kwargs": {**found["kwargs"], **kwargs}}


def refusal(asked: dict[str, Any]) -> str:
    """Why it does not take such images, "" where it does."""
    try:
        dry_run_architecture(asked)
    except UserError as error:
        return str(error)
    return ""


def named(said: str) -> int:
    (found,) = NAMED.finditer(said)
    return int(found[1] or found[2])


@pytest.mark.parametrize("option", find_architecture_files())
def test_a_network_takes_small_images_or_names_a_size_that_it_takes(option: str) -> None:
    name = option.rpartition("/")[2]
    said = {side: refusal(described(option, side)) for side in (32, 28) if side == 32 or name not in TOO_LARGE_A_STEM}
    assert {name: named(said[32])} == {name: TOO_LARGE_A_STEM[name]} if said[32] else True
    for side, line in said.items():
        assert "\n" not in line
        if line:
            size = named(line)
            assert side < size
            assert accepts_image_size(described(option, side), size)
            assert size - 1 in said or not accepts_image_size(described(option, side), size - 1)


def test_a_refusal_tells_of_a_small_stem_where_that_helps() -> None:
    densenet, vgg = (described(option, 28) for option in ("cross_layer/densenet121", "splitting/vgg11"))
    assert "it takes them with architecture.stem=small" in refusal(densenet)
    assert accepts_image_size({**densenet, "stem": "small"}, 28)
    assert "stem=small" not in refusal(vgg)


@pytest.mark.parametrize(
    ("option", "side", "kwargs"),
    [
        ("transformer/vit_tiny", 28, {"patch_size": 4}),
        ("transformer/vit_tiny", 32, {"patch_size": 4}),
        ("transformer/deit_tiny", 32, {"patch_size": 4}),
        ("transformer/swin_tiny", 28, {"patch_size": 2, "window_size": 7}),
        ("transformer/swin_tiny", 32, {"patch_size": 2, "window_size": 4}),
        ("cross_layer/convnext_atto", 28, {"patch_size": 1}),
        ("cross_layer/convnext_tiny", 28, {"patch_size": 1}),
        ("cross_layer/resnet18", 32, {"output_stride": 8}),
        ("splitting/googlenet_2014", 28, {"last_pool": 2}),
    ],
    ids=str,
)
def test_what_a_file_says_of_small_images_works(option: str, side: int, kwargs: dict[str, Any]) -> None:
    assert refusal(described(option, side, **kwargs)) == ""


@pytest.mark.parametrize(
    ("works", "asked", "expected"),
    [
        (lambda side: side >= 75, 28, 75),
        (lambda side: side >= 29, 28, 29),
        (lambda side: side >= 64, 63, 64),
        (lambda side: side % 32 == 0, 33, 64),
        (lambda side: side >= 512, 200, 512),
        (lambda side: side >= 513, 28, None),
        (lambda side: True, 600, None),
    ],
)
def test_the_next_size_works_and_one_pixel_less_does_not(works: Any, asked: int, expected: int | None) -> None:
    tried: list[int] = []
    assert find_larger_size(lambda side: works(tried.append(side) or side), asked) == expected
    assert len(tried) <= 21


def test_what_no_size_helps_keeps_its_reason() -> None:
    asked = described("cross_layer/resnet18", 28, global_pool="token")
    assert "resnet18 of timm can't be built so: Invalid pool type: token" in refusal(asked)
