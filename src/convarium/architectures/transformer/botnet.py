"""BoTNet-S1-50 (Srinivas et al., CVPR 2021, "Bottleneck transformers for visual recognition"), from timm's blocks."""

from collections.abc import Sequence
from math import ceil

from torch import nn

from convarium.architectures.builder import Builder, int_between, list_of, one_of
from convarium.errors import UserError

STAGE_BLOCKS = (("bottle", 1), ("bottle", 2), ("bottle", 2), ("self_attn", 1))  # timm's block and the stride of a stage


def botnet_s1_50(
    in_chans: int,
    num_classes: int,
    img_size: int,
    *,
    depths: Sequence[int] = (3, 4, 6, 3),
    width: int = 256,
    heads: int = 4,
    stem: str = "7x7",
) -> nn.Module:
    """ResNet-50 whose last stage attends to the whole map, at stride 1; 20,859,176 parameters at 3x224x224.

    It has 5,418 million MACs, with timm's blocks and with an independent build. The 4,270 million of the review's
    Table 8, whose columns are swapped in this row, can't be reproduced. timm's botnet26t_256 and botnet50ts_256 are
    other networks. Relative positions are learned for one size of image.

    Args:
        depths: blocks in each stage; those of the last stage have attention.
        width: channels of the first stage, doubled in each of the others.
        stem: 7x7 of stride 2 and max pooling, or 3x3 of stride 2 alone, for small images.

    Raises:
        UserError: heads that don't divide a quarter of the last stage's channels.
    """
    from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg

    if 2 * width % heads or width % 4:
        raise UserError(f"botnet_s1_50: width={width} must be a multiple of 4, and twice of it of heads={heads}")
    blocks = []
    for stage, depth in enumerate(depths):
        kind, stride = STAGE_BLOCKS[stage]
        blocks.append(ByoBlockCfg(type=kind, d=depth, c=width << stage, s=stride, gs=0, br=0.25))
    config = ByoModelCfg(
        blocks=tuple(blocks),
        stem_chs=width // 4,
        stem_type=stem,
        stem_pool="maxpool" if stem == "7x7" else "",
        self_attn_layer="bottleneck",
        self_attn_kwargs={"num_heads": heads},
        fixed_input_size=True,
    )
    # timm rounds the attention's map down, its convolutions round up: only a multiple of the whole stride fits both.
    stride = 16 if stem == "7x7" else 8
    side = ceil(img_size / stride) * stride
    network: nn.Module = ByobNet(config, num_classes=num_classes, in_chans=in_chans, img_size=side)
    return network


KWARG_RULES = {
    "depths": list_of(int_between(1, 64), 4, 4),
    "width": int_between(8, 1024),
    "heads": int_between(1, 64),
    "stem": one_of("7x7", "3x3"),
}
BUILDERS = {"botnet_s1_50": Builder(botnet_s1_50, KWARG_RULES)}
