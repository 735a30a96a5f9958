"""`stem: small`: a network made for 224-pixel images keeps the resolution of small ones in its first layers."""

from torch import nn

from convarium.errors import UserError


def apply_small_stem(network: nn.Module, owner: str) -> None:
    """Give the stem's first strided convolution stride 1 and turn a max pooling right behind it into Identity.

    Changes `network` in place; shapes of weights stay. The stem is the top-level child with the first convolution.

    Raises:
        UserError: the stem has no strided convolution, or it cuts the image into patches (stride = kernel).
    """
    named = list(network.named_modules())
    convolutions = [(name, module) for name, module in named if isinstance(module, nn.Conv2d)]
    stem = convolutions[0][0].split(".")[0] if convolutions else ""
    strided = [(n, m) for n, m in convolutions if n.split(".")[0] == stem and max(m.stride) > 1]
    if not strided or tuple(strided[0][1].stride) == tuple(strided[0][1].kernel_size):
        raise UserError(f"architecture.stem=small: {owner} has no strided stem convolution; use stem=native")
    name, convolution = strided[0]
    convolution.stride = (1, 1)
    _remove_pooling_after(network, named, name)


def _remove_pooling_after(network: nn.Module, named: list[tuple[str, nn.Module]], conv_name: str) -> None:
    home = conv_name.rpartition(".")[0]
    behind = named[[name for name, _ in named].index(conv_name) + 1 :]
    for name, module in behind:
        if isinstance(module, nn.MaxPool2d):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, nn.Identity())
            return
        if isinstance(module, nn.Conv2d) and (not home or name.rpartition(".")[0] != home):
            return
