"""Whether the networks that steps refer to (teachers) are for the classes and images of their student."""

from collections.abc import Sequence

from convarium.config.point import Reference
from convarium.planning.stage_graph import Json, PointLike


def find_reference_mismatch(point: PointLike) -> str | None:
    """Return a line on the first teacher that is for other classes or other images than its student, None if none is.

    Normalisations are compared where both are declared; the others are known only when the images are read.
    """
    student = Reference(-1, "", config=point.config)
    for reference in point.references:
        if reference.step_index < 0:
            student = reference  # an adopted network, whose normalisation is its own
    for reference in point.references:
        if reference.step_index < 0:
            continue
        mismatch = _find_mismatch(reference, student, point.config["architecture"])
        if mismatch:
            step = point.config["compression"][reference.step_index]
            step_name = step.get("name") or step["method"].rpartition("/")[2]
            return f"compression.{step_name}.{reference.knob} {mismatch}"
    return None


def _find_mismatch(teacher: Reference, student: Reference, student_architecture: Json) -> str | None:
    """Return what separates a teacher from its student, as the rest of a sentence."""
    teacher_architecture = _get_stage_config(teacher)["architecture"]
    teacher_classes, student_classes = teacher_architecture["num_classes"], student_architecture["num_classes"]
    if teacher_classes != student_classes:
        return f"has {teacher_classes} classes, its student {student_classes}: name another teacher"
    teacher_shape, student_shape = map(_format_input_shape, (teacher_architecture, student_architecture))
    if teacher_shape != student_shape:
        return f"takes images of {teacher_shape}, its student of {student_shape}: name another teacher"
    teacher_normalisation, student_normalisation = _find_normalisation(teacher), _find_normalisation(student)
    if teacher_normalisation is None or student_normalisation is None:
        return None
    if teacher_normalisation != student_normalisation:
        return "was trained on images normalised in another way: name a teacher of this dataset"
    return None


def _get_stage_config(reference: Reference) -> Json:
    """Return the config of the stage that began the network, or of the dense network that is yet to be trained."""
    if reference.config is not None:
        return reference.config
    stage_config: Json = reference.node_fields[0]["stage_config"]
    return stage_config


def _format_input_shape(architecture: Json) -> str:
    side = architecture["img_size"]
    return f"{architecture['in_chans']}x{side}x{side}"


def _find_normalisation(reference: Reference) -> list[list[float]] | None:
    """Return mean and std for each channel, None where they are not declared: a library's weights bring their own."""
    stage_config = _get_stage_config(reference)
    architecture = stage_config["architecture"]
    # A stage adopt declares the input of its network, a stage train the dataset.
    normalisation = stage_config["input"] if "input" in stage_config else stage_config["dataset"]
    if "pretrained" in architecture or normalisation["mean"] is None or normalisation["std"] is None:
        return None
    channels = architecture["in_chans"]
    return [_expand_channels(normalisation["mean"], channels), _expand_channels(normalisation["std"], channels)]


def _expand_channels(values: Sequence[float], channels: int) -> list[float]:
    """Return a value for each channel; a single one holds for all of them."""
    repeats = channels if len(values) == 1 else 1
    return [float(value) for value in values] * repeats
