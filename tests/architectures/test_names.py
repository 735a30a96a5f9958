"""Networks whose names sound like the review's and are others: no file builds one of them."""

import re

import pytest
import timm

from architectures.descriptions import describe_own
from convarium.architectures import factory
from convarium.config.option_file import read_option
from convarium.config.search_path import list_search_folders

TRAPS = re.compile(r"convformer|resnet10t|botnet50ts_256|pvt_v2|vit_\w+_r\d+|densenet264d")
OURS = {
    "conformer_tiny": "convformer_s18",
    "resnet10": "resnet10t",
    "botnet_s1_50": "botnet50ts_256",
    "pvt_tiny": "pvt_v2_b1",
    "vt_r50": "vit_base_r50_s16_224",
    "densenet264": "densenet264d",
}


def test_no_file_names_one() -> None:
    files = [path for root in list_search_folders("conf") for path in (root / "architecture").glob("*/*.yaml")]
    built = {path.stem: read_option(path) for path in files}
    assert [stem for stem, found in built.items() if TRAPS.search(found["name"])] == []
    assert {built[stem]["source"] for stem in OURS} == {"own"}


@pytest.mark.parametrize(("ours", "trap"), OURS.items())
def test_the_one_that_sounds_alike_is_another_network(ours: str, trap: str) -> None:
    assert TRAPS.search(trap)
    assert timm.is_model(trap)
    described = describe_own(ours, side=256 if "botnet" in ours else 224)
    sizes = [
        sum(parameter.numel() for parameter in factory.build_architecture(one, "meta").parameters())
        for one in (described, {**described, "source": "timm", "name": trap})
    ]
    assert abs(sizes[0] - sizes[1]) > 0.01 * sizes[0]
