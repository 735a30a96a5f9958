"""The images and classes that an untrained network is shown with: its paper's, its library's or a dataset's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convarium.catalogue.networks import images_of

if TYPE_CHECKING:
    from convarium.catalogue.rows import Row
    from convarium.cli.subject import Named

Json = dict[str, Any]
OTHERS = "dataset=NAME takes another's"


@dataclass(frozen=True)
class Native:
    """What a network is told of its images.

    Attributes:
        told: what it takes the place of in the network's architecture.
        whose: the images are, for a person to read.
        width: of an image that is not square; such a network need not be a classifier of images.
    """

    told: Json
    whose: str
    width: int | None = None


def native(named: "Named", architecture: Mapping[str, Any], dataset: Mapping[str, Any]) -> Native:
    """Return what a network is shown with where no dataset is typed; `dataset` is the usual one."""
    from convarium.architectures import library

    if named.row:
        return _of_paper(named.row, named.changed, architecture["kwargs"])
    told = library.native(architecture["source"], architecture["name"])
    return Native(told, f"of its library; {OTHERS}") if told else of_dataset(dataset)


def of_dataset(dataset: Mapping[str, Any]) -> Native:
    """Return the images of a dataset, which the architecture is complete for already."""
    return Native({}, f"of dataset={dataset['name']}")


def _of_paper(row: "Row", changed: tuple[str, ...], kwargs: Mapping[str, Any]) -> Native:
    """Return the paper's form of a network; kwargs that are typed stay."""
    images = images_of(row)
    own = {} if any(text.startswith("architecture.kwargs") for text in changed) else images.kwargs
    told = {"in_chans": images.channels, "num_classes": images.classes, "img_size": images.side}
    form = "".join(f" with {key}={value}" for key, value in own.items())
    return Native({**told, "kwargs": {**kwargs, **own}}, f"of its paper{form}; {OTHERS}", images.width)
