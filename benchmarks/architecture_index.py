"""The index by which `convarium adopt` tells what network a file may be of.

usage: python benchmarks/architecture_index.py > src/convarium/weight_files/architecture_index.tsv

Every network of conf/architecture, torchvision and timm is built once, on the meta device where it can be, for the
images and classes that its library has it for (ours: 32 pixels, 10 classes).
"""

import sys
from collections.abc import Iterator
from typing import Any

from convarium.architectures import factory
from convarium.compose.points import compose_points
from convarium.config.search_path import list_group_options
from convarium.errors import UserError
from convarium.weight_files.architecture_index import hash_tensors

LIBRARIES = ("torchvision", "timm")
TOO_LARGE_TO_BUILD = ("regnet_y_128gf",)  # it needs real memory, as all of its family
OWN_IMAGES = ("dataset=cifar10", "dataset=mnist5k", "dataset=imagenet")  # the first that a network of ours takes

Json = dict[str, Any]


def main() -> None:
    """Print the index."""
    print("# made by benchmarks/architecture_index.py: source, name, hashes of names, named shapes, shapes in order")
    for option in list_group_options("architecture"):
        if option not in LIBRARIES:
            print_line("own", option.rpartition("/")[2], list(iterate_own(option)))
    for source in LIBRARIES:
        for name in factory.list_architecture_names(source):
            print_line(source, name, [describe_library_network(source, name)])


def iterate_own(option: str) -> Iterator[Json]:
    """Yield the architecture of an option for each kind of images."""
    for images in OWN_IMAGES:
        try:
            (point,) = compose_points([f"architecture={option}", images]).check_points()
        except UserError:
            continue
        yield factory.condense_architecture(point.config["architecture"])


def describe_library_network(source: str, name: str) -> Json:
    """Return the architecture of a library's network, for the images that it is made for."""
    sizes = {"in_chans": 3, "num_classes": 1000, "img_size": 224} | factory.find_native_sizes(source, name)
    return {"source": source, "name": name, "stem": "native", "kwargs": {}, **sizes}


def print_line(source: str, name: str, architectures: list[Json]) -> None:
    """Print the line of the first of several architectures that can be built."""
    for architecture in architectures:
        for device in ("meta", None):
            if device is None and name in TOO_LARGE_TO_BUILD:
                continue
            try:
                tensors = factory.build_architecture(architecture, device).state_dict()
            except UserError as error:
                print(f"{source} {name}: {error}", file=sys.stderr)
                continue
            hashes = hash_tensors(tensors)
            print(source, name, hashes.names, hashes.named_shapes, hashes.ordered_shapes, sep="\t", flush=True)
            return


if __name__ == "__main__":
    main()
