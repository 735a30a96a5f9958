"""The input and the classes with which an untrained network is shown: its paper's, its library's or a dataset's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convarium.catalogue.paper_inputs import get_paper_input
from convarium.config.override import Override

if TYPE_CHECKING:
    from convarium.catalogue.rows import CatalogueRow

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
    row: "CatalogueRow | None",
    changed_overrides: tuple[Override, ...],
    architecture: Mapping[str, Any],
    dataset: Mapping[str, Any],
) -> InputSpec:
    """Return the input of a network for which no dataset was typed.

    Args:
        row: the catalogue's row of the architecture, if there is one.
        changed_overrides: overrides that make it another network than the row's.
        architecture: its config.
        dataset: the default one.
    """
    from convarium.architectures import factory

    if row:
        return _build_paper_input_spec(row, changed_overrides, architecture["kwargs"])
    native_sizes = factory.find_native_sizes(architecture["source"], architecture["name"])
    if not native_sizes:
        return build_dataset_input_spec(dataset)
    return InputSpec(native_sizes, f"of its library; {OTHER_DATASET_HINT}")


def build_dataset_input_spec(dataset: Mapping[str, Any]) -> InputSpec:
    """Return the input of a dataset, for which the architecture's config is already complete."""
    return InputSpec({}, f"of dataset={dataset['name']}")


def _build_paper_input_spec(
    row: "CatalogueRow", changed_overrides: tuple[Override, ...], kwargs: Mapping[str, Any]
) -> InputSpec:
    """Return the input of the network's paper, with the paper's kwargs unless some are typed."""
    paper_input = get_paper_input(row)
    has_typed_kwargs = any(override.key.startswith("architecture.kwargs") for override in changed_overrides)
    paper_kwargs = {} if has_typed_kwargs else paper_input.kwargs
    architecture_values = {
        "in_chans": paper_input.channels,
        "num_classes": paper_input.classes,
        "img_size": paper_input.height,
        "kwargs": {**kwargs, **paper_kwargs},
    }
    form = "".join(f" with {key}={value}" for key, value in paper_kwargs.items())
    return InputSpec(architecture_values, f"of its paper{form}; {OTHER_DATASET_HINT}", paper_input.width)
