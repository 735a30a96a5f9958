"""Whether the networks that steps refer to (teachers) are for the classes and images of their student."""

from typing import Any

from convarium.config.point import Reference
from convarium.planning.stage_graph import Json, PointLike


def find_reference_mismatch(point: PointLike) -> str | None:
    """Return in one line which network that a step refers to is for other classes or other images, None if none is.

    Normalisations are compared where both are declared; others are known when the images are read.
    """
    student = next((one for one in point.references if one.step_index < 0), Reference(-1, "", config=point.config))
    for reference in point.references:
        if reference.step_index < 0:
            continue
        step = point.config["compression"][reference.step_index]
        where = f"compression.{step.get('name') or step['method'].rpartition('/')[2]}.{reference.knob}"
        theirs, ours = _find_architecture(reference), point.config["architecture"]
        if theirs["num_classes"] != ours["num_classes"]:
            classes = f"{theirs['num_classes']} classes, its student {ours['num_classes']}"
            return f"{where} has {classes}: name another teacher"
        if _format_input_shape(theirs) != _format_input_shape(ours):
            shapes = f"{_format_input_shape(theirs)}, its student of {_format_input_shape(ours)}"
            return f"{where} takes images of {shapes}: name another teacher"
        normalisations = _find_normalisation(reference), _find_normalisation(student)
        if None not in normalisations and normalisations[0] != normalisations[1]:
            return f"{where} was trained on images normalised in another way: name a teacher of this dataset"
    return None


def _find_stage_config(reference: Reference) -> Json:
    """What the stage that began the network was told: its config, or what is stored of it."""
    own: Json = reference.node_fields[0]["stage_config"] if reference.config is None else reference.config
    return own


def _find_architecture(reference: Reference) -> Json:
    architecture: Json = _find_stage_config(reference)["architecture"]
    return architecture


def _format_input_shape(architecture: Json) -> str:
    side = architecture["img_size"]
    return f"{architecture['in_chans']}x{side}x{side}"


def _find_normalisation(reference: Reference) -> list[list[float]] | None:
    """Mean and std for each channel, where they are declared; a library's weights bring their own."""
    own = _find_stage_config(reference)
    given: Any = own.get("input", own.get("dataset"))
    if "pretrained" in own["architecture"] or given["mean"] is None or given["std"] is None:
        return None
    channels = own["architecture"]["in_chans"]
    return [list(map(float, given[key] * (channels if len(given[key]) == 1 else 1))) for key in ("mean", "std")]
