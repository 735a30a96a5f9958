"""Short names of options, also in lists: `resnet20` for `cross_layer/resnet20`."""

from typing import Any

from convarium.config.compression_steps import check_method_names
from convarium.config.search_path import list_group_options, resolve_full_name
from convarium.config.suggestions import suggest_option
from convarium.errors import UserError


def resolve_option(group: str, value: Any) -> Any:
    """Return the canonical choice of `group`: whole names; a compression list of one is its method, of none is "none".

    Raises:
        UserError: no such option, an ambiguous one, a list where one name is due, or a method twice.
    """
    if group == "compression":
        return _resolve_compression(value)
    if not isinstance(value, str):
        raise UserError(f"{group}={value}: expected one name of {', '.join(list_group_options(group))}")
    try:
        return resolve_full_name(group, value, list_group_options(group))
    except UserError:
        is_known_otherwise = suggest_option(group, value, list_group_options(group))
        suggestion = _suggest_library_name(value) if group == "architecture" and not is_known_otherwise else ""
        if suggestion:
            raise UserError(f"architecture={value}: no such architecture{suggestion}") from None
        raise


def _suggest_library_name(value: str) -> str:
    """Suggest a name of timm or torchvision if one is nearer to what was typed than every option; else nothing."""
    from convarium.architectures.name_suggestions import suggest_architecture

    options = [name.rpartition("/")[2] for name in list_group_options("architecture")]
    suggestion = suggest_architecture(value, "own", options)
    # A suggestion of ours is a bare name, which the caller's own error already gives.
    return suggestion if "architecture=" in suggestion else ""


def _resolve_compression(value: Any) -> Any:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str | None):
            raise UserError(f"compression={value}: {name!r} is not a method; write compression=[first,second]")
    options = [name for name in list_group_options("compression") if name != "none"]
    if len(names) == 1 or "none" in names:
        options.append("none")
    methods = [resolve_full_name("compression", name, options) for name in names if name not in (None, "none")]
    if "none" in names and methods:
        raise UserError(f"compression=[{','.join(map(str, names))}]: none stands alone; leave it out of the list")
    check_method_names(methods)
    return methods if len(methods) > 1 else (methods or ["none"])[0]
