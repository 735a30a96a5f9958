"""Filter pruning on classifiers of timm, one of each family: what is cut, and whether the file replays it bit for bit.

usage: python benchmarks/surgery.py [NAME ...] > docs/results/surgery.md

Each network (untrained, ten classes, 3 x 64 x 64 or the smallest size it takes) loses half of its filters by
`pruning/filter_l1`. `replayed` compares logits of the cut network with those of its file, read and built anew.
`in groups` says how many of the groups of coupled filters could be cut; the others are left whole.
"""

import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from convarium.architectures import factory
from convarium.compression import decisions
from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.filter_l1 import filter_l1
from convarium.compression.sites import resolve_sites
from convarium.compression.structure import channel_groups, cuttable_groups
from convarium.cost.macs import count_macs
from convarium.cvm import container
from convarium.datasets.splits import Splits
from convarium.errors import UserError

STEP: dict[str, Any] = {
    "method": "pruning/filter_l1",
    "channels_removed": 0.5,
    "per_site": {},
    "scope": "layer",
    "sites": ["*"],
}
SIZES = {"inception_v3": 96, "levit_128s": 224, "swin_tiny_patch4_window7_224": 224, "vit_tiny_patch16_224": 64}
FAMILIES = """
resnet10t resnet18 mobilenetv2_050 mobilenetv3_small_050 efficientnet_lite0 efficientnet_b0 densenet121 regnetx_002
regnety_002 convnext_atto convnextv2_atto vgg11_bn dla34 hrnet_w18_small ghostnet_050 mnasnet_small rexnet_100 mixnet_s
cspresnet50 darknet53 dpn48b legacy_seresnet18 res2net50_26w_4s resnest14d inception_v3 xception41 selecsls42
hardcorenas_a tinynet_e fbnetc_100 semnasnet_050 lcnet_050 spnasnet_100 repvgg_a0 edgenext_xx_small
vit_tiny_patch16_224 swin_tiny_patch4_window7_224 levit_128s poolformer_s12 mobilevit_xxs ese_vovnet19b_dw gernet_s
nfnet_l0 ecaresnet26t skresnet18 repghostnet_050 fasternet_t0 mobileone_s0 resnext26ts mixer_s32_224
"""


def architecture(name: str) -> dict[str, Any]:
    """Return the plain data that a file carries."""
    size = {"img_size": SIZES.get(name, 64), "stem": "native", "kwargs": {}}
    return {"source": "timm", "name": name, "in_chans": 3, "num_classes": 10, **size}


def view(network: nn.Module, header: dict[str, Any]) -> NetworkView:
    """Return what the decider sees in the first of one round."""
    sites = resolve_sites(network, STEP)
    weights = {site.name: network.get_parameter(site.name).detach() for site in sites}
    return NetworkView(sites, weights, {}, STEP, 1.0, torch.Generator(), network, header, _no_data)


def row(name: str) -> str:
    """Cut one network and return its line of the table."""
    described = architecture(name)
    shape = [3, described["img_size"], described["img_size"]]
    normal = {"shape": shape, "mean": [0.5] * 3, "std": [0.25] * 3}
    header = {"architecture": described, "task": "classification", "classes": 10, "input": normal, "surgery": []}
    torch.manual_seed(0)
    network = factory.build_architecture(described)
    before, start = sizes(network, shape), time.perf_counter()
    try:
        groups = channel_groups.trace_groups(cuttable_groups.copy_plain_network(network), shape)
        outputs = first_sizes(network, groups)
        decision = decisions.apply_decision(network, filter_l1(view(network, header)))
    except UserError as error:
        return f"| {name} | refused: {error} | {before[0]:.2f} | | {before[1]:.1f} | | | |"
    seconds, after = time.perf_counter() - start, sizes(network, shape)
    said = "yes" if replayed(network.eval(), {**header, "surgery": list(decision.edits)}) else "NO: another network"
    narrower = sum(now < then for now, then in zip(first_sizes(network, groups), outputs, strict=True))
    figures = f"{before[0]:.2f} | {after[0]:.2f} | {before[1]:.1f} | {after[1]:.1f}"
    return f"| {name} | {said} | {figures} | {narrower} of {len(groups) - 1} | {seconds:.1f} |"


def _no_data() -> Splits:
    raise AssertionError("this decider needs no data")


def sizes(network: nn.Module, shape: list[int]) -> tuple[float, float]:
    """Return millions of parameters and of multiply-accumulates."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6, count_macs(network, shape) / 1e6


def first_sizes(network: nn.Module, groups: list[channel_groups.ChannelGroup]) -> list[int]:
    """Return the number of outputs of each group's first layer."""
    return [network.get_parameter(f"{group.name}.weight").shape[0] for group in groups]


def replayed(network: nn.Module, header: dict[str, Any]) -> bool:
    """Whether the file of a network gives its logits bit for bit."""
    images = torch.randn(2, *header["input"]["shape"])
    with TemporaryDirectory() as folder, torch.no_grad():
        container.write_cvm(Path(folder) / "cut.cvm", network, header, {})
        return torch.equal(network(images), container.load_cvm(Path(folder) / "cut.cvm")(images))


HEAD = """# Filter pruning on other people's networks

Made by `.venv/bin/python benchmarks/surgery.py > docs/results/surgery.md`. Classifiers of timm, untrained, ten classes,
images of 64x64 (inception 96; levit and swin 224), lose half of their filters by `pruning/filter_l1`. Replayed: the
file, read and built anew, gives the cut network's logits bit for bit. Groups: how many groups of coupled channels were
cut; the others (attention heads, splits of fixed sizes, whatever fails a trial cut) are left whole. Seconds: to find,
try and cut.

| network | replayed | parameters (M) | after | MACs (M) | after | groups | s |
|---|---|---|---|---|---|---|---|"""


def main(names: list[str]) -> None:
    """Print the page."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(HEAD, flush=True)
    rows = []
    for name in names:
        rows.append(row(name))
        print(rows[-1], flush=True)
    works = sum("| yes |" in line for line in rows)
    print(f"\n{works} of {len(rows)} networks are cut and replayed; the others are refused in one line.")


if __name__ == "__main__":
    main(sys.argv[1:] or FAMILIES.split())
