"""`stem: small`: the first layers of a network made for 224-pixel images keep the resolution of small ones."""

from torch import nn

from convarium.errors import UserError


def apply_small_stem(network: nn.Module, owner: str) -> None:
    """Set the stride of the stem's first strided convolution to 1 and remove a max pooling right behind it.

    Changes `network` in place; shapes of weights stay. The stem is the top-level child with the first convolution.

    Raises:
        UserError: the stem has no strided convolution, or it cuts the image into patches (stride = kernel).
    """
    name = _find_strided_stem_convolution(network)
    convolution = network.get_submodule(name) if name else None
    if not isinstance(convolution, nn.Conv2d) or tuple(convolution.stride) == tuple(convolution.kernel_size):
        raise UserError(f"architecture.stem=small: {owner} has no strided stem convolution; use stem=native")
    convolution.stride = (1, 1)
    _remove_pooling_after(network, name)


def _find_strided_stem_convolution(network: nn.Module) -> str:
    """Return the name of the stem's first strided convolution, or nothing."""
    modules: list[tuple[str, nn.Module]] = list(network.named_modules())
    stem = ""
    for name, module in modules:
        if not isinstance(module, nn.Conv2d):
            continue
        child = name.partition(".")[0]
        stem = stem or child
        if child == stem and max(module.stride) > 1:
            return name
    return ""


def _remove_pooling_after(network: nn.Module, convolution_name: str) -> None:
    """Turn the first max pooling into Identity, unless a convolution outside the stem's block comes before it."""
    modules = list(network.named_modules())
    position = [name for name, _ in modules].index(convolution_name)
    block = convolution_name.rpartition(".")[0]
    for name, module in modules[position + 1 :]:
        parent, _, child = name.rpartition(".")
        if isinstance(module, nn.MaxPool2d):
            setattr(network.get_submodule(parent), child, nn.Identity())
            return
        is_in_block = block != "" and parent == block
        if isinstance(module, nn.Conv2d) and not is_in_block:
            return
