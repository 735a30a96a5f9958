"""How much of a network methods can work on."""

import pytest
import torch
from torch import nn

from convarium.architectures import factory
from convarium.compression import sites
from convarium.compression.coverage import compute_site_coverage


class Bare(nn.Module):
    """A matrix of its own, a vector, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.scale = nn.Parameter(torch.zeros(6, 10)), nn.Parameter(torch.zeros(500))
        self.layer = nn.Linear(10, 4)


def tied() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Embedding(4, 4), nn.Embedding(2, 8))
    network[1].weight = network[2].weight = network[0].weight
    return network


CASES: dict[str, tuple[nn.Module, float, list[str]]] = {
    "all": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 2, 3), nn.Linear(2, 3)), 1, []),
    "recurrent": (nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 2)), 8 / (16 * 3 + 16 * 4 + 8), ["LSTM"]),
    "packed attention": (nn.MultiheadAttention(8, 2), 1 / 4, ["MultiheadAttention"]),
    "transposed": (nn.Sequential(nn.ConvTranspose1d(2, 3, 5), nn.Linear(3, 10)), 1 / 2, ["ConvTranspose1d"]),
    "embedding and others": (
        nn.Sequential(nn.Embedding(10, 4), nn.Bilinear(2, 2, 5), nn.Linear(4, 5)), 1 / 4, ["Embedding", "Bilinear"],
    ),
    "bare": (Bare(), 40 / 100, ["Bare"]),
    "tied": (tied(), 1 / 2, ["Embedding"]),
    "no weights": (nn.BatchNorm2d(3), 1, []),
}  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("case", CASES)
def test_it_is_the_share_of_weights_in_sites(case: str, device: str) -> None:
    network, share, others = CASES[case]
    coverage = compute_site_coverage(network if case == "tied" else network.to(device))
    assert coverage.share == pytest.approx(share)
    assert list(coverage.other_shares) == others
    assert coverage.share + sum(coverage.other_shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("source", "name", "kind"),
    [("timm", "tf_efficientnet_cc_b0_4e", "CondConv2d"), ("torchvision", "vit_b_32", "MultiheadAttention")],
)
def test_what_sites_are_of_real_networks(source: str, name: str, kind: str) -> None:
    architecture = {"source": source, "name": name, "in_chans": 3, "num_classes": 10, "img_size": 224}
    network = factory.build_architecture({**architecture, "stem": "native", "kwargs": {}}, "meta")
    coverage = compute_site_coverage(network)
    chosen = sites.resolve_sites(network, {"method": "pruning/magnitude", "sites": ["*"]})
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    values = sum(torch.Size(site.shape).numel() for site in chosen)
    assert coverage.share == pytest.approx(values / sum(weight.numel() for weight in weights))
    assert next(iter(coverage.other_shares)) == kind
