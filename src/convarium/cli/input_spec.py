"""The images and classes that an untrained network is shown with: its paper's, its library's or a dataset's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convarium.catalogue.paper_inputs import get_paper_input
from convarium.config.override import Override

if TYPE_CHECKING:
    from convarium.catalogue.rows import CatalogueRow
    from convarium.cli.inspected_network import NamedArchitecture

Json = dict[str, Any]
OTHER_DATASET_HINT = "dataset=NAME takes another's"


@dataclass(frozen=True)
class InputSpec:
    """What a network is told of its images.

    Attributes:
        architecture_values: what it takes the place of in the network's architecture.
        source: the images are, for a person to read.
        width: of an image that is not square; such a network need not be a classifier of images.
    """

    architecture_values: Json
    source: str
    width: int | None = None


def select_input_spec(
    named: "NamedArchitecture", architecture: Mapping[str, Any], dataset: Mapping[str, Any]
) -> InputSpec:
    """Return what a network is shown with where no dataset is typed; `dataset` is the usual one."""
    from convarium.architectures import factory

    if named.catalogue_row:
        return _build_paper_input_spec(named.catalogue_row, named.changed_overrides, architecture["kwargs"])
    told = factory.find_native_sizes(architecture["source"], architecture["name"])
    return InputSpec(told, f"of its library; {OTHER_DATASET_HINT}") if told else build_dataset_input_spec(dataset)


def build_dataset_input_spec(dataset: Mapping[str, Any]) -> InputSpec:
    """Return the images of a dataset, which the architecture is complete for already."""
    return InputSpec({}, f"of dataset={dataset['name']}")


def _build_paper_input_spec(
    row: "CatalogueRow", changed_overrides: tuple[Override, ...], kwargs: Mapping[str, Any]
) -> InputSpec:
    """Return the paper's form of a network; kwargs that are typed stay."""
    images = get_paper_input(row)
    own = {} if any(override.key.startswith("architecture.kwargs") for override in changed_overrides) else images.kwargs
    told = {"in_chans": images.channels, "num_classes": images.classes, "img_size": images.height}
    form = "".join(f" with {key}={value}" for key, value in own.items())
    return InputSpec({**told, "kwargs": {**kwargs, **own}}, f"of its paper{form}; {OTHER_DATASET_HINT}", images.width)
