"""Classifiers of timm by name; pretrained weights only where `fetch_pretrained` is called."""

import logging
from functools import cache
from typing import Any

from torch import nn

from convarium.architectures.builder import ArgumentRule, int_between, number_between, one_of
from convarium.architectures.weights import Weights

IMAGENET_CLASSES = 1000  # of a network that timm publishes without a classifier, which has 0 classes
KWARG_RULES = {
    "drop_rate": number_between(0, 0.99),
    "drop_path_rate": number_between(0, 0.99),
    "global_pool": one_of("avg", "max", "avgmax", "catavgmax", "token"),
    "conv_stride_mode": one_of("dw", "1x1"),  # of CoAtNet and the like: which convolution of a block strides
    "patch_size": int_between(1, 64),  # of transformers and ConvNeXt: smaller ones for smaller images
    "window_size": int_between(1, 64),  # of Swin and the like
    "output_stride": ArgumentRule("8, 16 or 32", lambda value: type(value) is int and value in (8, 16, 32)),
}


@cache
def list_names() -> tuple[str, ...]:
    """Return the names of all architectures of timm, without prefixes ("hf-hub:") and tags (".a1_in1k")."""
    import timm

    return tuple(timm.list_models())


def build_classifier(name: str, in_chans: int, num_classes: int, img_size: int, **kwargs: Any) -> nn.Module:
    """Build a network with new weights; those of a fixed input size (ViT, Swin, mixers) are built for `img_size`."""
    import timm

    pretrained_cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if pretrained_cfg is not None and pretrained_cfg.fixed_input_size:
        kwargs["img_size"] = img_size
    network: nn.Module = timm.create_model(name, pretrained=False, in_chans=in_chans, num_classes=num_classes, **kwargs)
    return network


def find_native_sizes(name: str) -> tuple[int, int, int] | None:
    """Return the channels, classes and image side that timm trained `name` for; None where it does not say."""
    import timm

    pretrained_cfg: Any = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if pretrained_cfg is None:
        return None
    channels, height, _ = pretrained_cfg.input_size
    return channels, pretrained_cfg.num_classes or IMAGENET_CLASSES, height


def fetch_pretrained(name: str) -> Weights:
    """Fetch timm's default weights for `name`, with the normalisation they were trained with.

    Raises:
        Exception: whatever timm raises where there are none, or they can't be fetched.
    """
    import timm

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    network: nn.Module = timm.create_model(name, pretrained=True)
    cfg: Any = network.pretrained_cfg
    architecture, tag = cfg.get("architecture", name), cfg.get("tag") or "default"
    origin = (f"pretrained {architecture}.{tag} of timm",)
    return Weights(network.state_dict(), origin, mean=tuple(cfg["mean"]), std=tuple(cfg["std"]))
