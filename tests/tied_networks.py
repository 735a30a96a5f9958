"""Small networks with ties of every kind, as a package of a user's would bring them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.builder import Builder

WIDTH = 8


class TiedNet(nn.Module):
    """Three convolutions of one shape and two linear layers of one shape, tied by `tie`."""

    def __init__(self, in_chans: int, num_classes: int, tie: Callable[["TiedNet"], None]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_chans, WIDTH, 3, padding=1)
        self.a, self.b, self.c = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))
        self.na, self.nb = nn.BatchNorm2d(WIDTH), nn.BatchNorm2d(WIDTH)
        self.u, self.v = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc = nn.Linear(WIDTH, num_classes)
        tie(self)

    def forward(self, images: Tensor) -> Tensor:
        maps = functional.relu(self.stem(images))
        maps = functional.relu(self.nb(self.b(functional.relu(self.na(self.a(maps))))))
        features = functional.relu(self.c(maps)).mean((2, 3))
        return self.fc(functional.relu(self.v(functional.relu(self.u(features)))))


class WordsNet(nn.Module):
    """Pixels are words; their embedding is a linear layer's weight, too, and comes before it by name."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.embedding, self.mix = nn.Embedding(16, 12), nn.Linear(12, 12)
        self.out = nn.Linear(12, 16, bias=False)
        self.out.weight = self.embedding.weight
        self.fc = nn.Linear(16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        words = (images.mean(1).flatten(1) * 3).round().clamp(-8, 7).long() + 8
        features = functional.relu(self.mix(self.embedding(words).mean(1)))
        return self.fc(functional.relu(self.out(features)))


class Mirror(nn.Module):
    """An encoder whose weight decodes, transposed."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.fc = nn.Linear(pixels, 16), nn.Linear(pixels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        code = functional.relu(self.encoder(images.flatten(1)))
        return self.fc(functional.linear(code, self.encoder.weight.t()))


class Listed(nn.Module):
    """The mirror again, but its decoder reads a list."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.fc = nn.Linear(pixels, 16, bias=False), nn.Linear(pixels, num_classes)
        self.decoder = [self.encoder.weight]

    def forward(self, images: Tensor) -> Tensor:
        code = functional.relu(self.encoder(images.flatten(1)))
        return self.fc(functional.linear(code, self.decoder[0].t()))


class Closed(nn.Module):
    """And again: it reads what a function of its own has seen when it was built, as a view."""

    def __init__(self, pixels: int, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.fc = nn.Linear(pixels, 16, bias=False), nn.Linear(pixels, num_classes)
        turned = self.encoder.weight.t()
        self.decode = lambda code: functional.linear(code, turned)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.decode(functional.relu(self.encoder(images.flatten(1)))))


class Reader(nn.Module):
    """A recurrent layer, which keeps a list of its weights itself."""

    def __init__(self, side: int, num_classes: int) -> None:
        super().__init__()
        self.rows, self.fc = nn.LSTM(side, 8, batch_first=True), nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.rows(images.mean(1))[0].mean(1))


def _tie_weights(network: TiedNet) -> None:
    network.b.weight = network.a.weight


def _tie_modules(network: TiedNet) -> None:
    network.b = network.a


def _tie_by_list(network: TiedNet) -> None:
    network.everything = nn.ModuleList([network.a, network.b])


def _tie_three_weights(network: TiedNet) -> None:
    network.b.weight = network.c.weight = network.a.weight


def _tie_biases(network: TiedNet) -> None:
    network.b.bias = network.v.bias = network.na.bias = network.a.bias


def _tie_buffers(network: TiedNet) -> None:
    for name, buffer in network.na.named_buffers():
        setattr(network.nb, name, buffer)


def _tie_norms(network: TiedNet) -> None:
    network.nb = network.na


def _tie_linears(network: TiedNet) -> None:
    network.v.weight = network.u.weight


def _tie_transposed(network: TiedNet) -> None:
    network.b = nn.ConvTranspose2d(WIDTH, WIDTH, 3, padding=1)
    network.b.weight = network.a.weight


def _tie_at_root(network: TiedNet) -> None:
    network.kernel = network.a.weight  # comes before a.weight in the network's order, behind it in that of names


def _tie_before_all(network: TiedNet) -> None:
    network.Z = network.a.weight  # comes before a.weight in both


def _share_memory_by_view(network: TiedNet) -> None:
    network.v.weight = nn.Parameter(network.u.weight.view(WIDTH, WIDTH))


def _tie_buffer_to_parameter(network: TiedNet) -> None:
    network.register_buffer("kernel", network.a.weight)


def _share_memory_in_halves(network: TiedNet) -> None:
    memory = torch.randn(2, WIDTH, WIDTH)
    network.u.weight, network.v.weight = nn.Parameter(memory[0]), nn.Parameter(memory[1])


def _hide_module_in_list(network: TiedNet) -> None:
    network.held = [network.a]
    del network.b
    network.b = _Call(network.held)


class _Call(nn.Module):
    """Calls a layer that it does not own."""

    def __init__(self, held: list[nn.Module]) -> None:
        super().__init__()
        self.held = held

    def forward(self, maps: Tensor) -> Tensor:
        return self.held[0](maps)


def _tie_heads(network: TiedNet) -> None:
    network.last = network.fc


def _make_tied_builder(tie: Callable[[TiedNet], None]) -> Builder:
    return Builder(lambda channels, classes, side: TiedNet(channels, classes, tie), {})


UNTIED = _make_tied_builder(lambda network: None)
PARAMETER, MODULE, LIST, THREE = (
    _make_tied_builder(_tie_weights),
    _make_tied_builder(_tie_modules),
    _make_tied_builder(_tie_by_list),
    _make_tied_builder(_tie_three_weights),
)
BIASES, BUFFERS, NORM, LINEAR = (
    _make_tied_builder(_tie_biases),
    _make_tied_builder(_tie_buffers),
    _make_tied_builder(_tie_norms),
    _make_tied_builder(_tie_linears),
)
TRANSPOSED, ROOT, EARLY, VIEW = (
    _make_tied_builder(_tie_transposed),
    _make_tied_builder(_tie_at_root),
    _make_tied_builder(_tie_before_all),
    _make_tied_builder(_share_memory_by_view),
)
BUFFER_OF_A_PARAMETER, HALVES = (
    _make_tied_builder(_tie_buffer_to_parameter),
    _make_tied_builder(_share_memory_in_halves),
)
HIDDEN_MODULE, HEAD = _make_tied_builder(_hide_module_in_list), _make_tied_builder(_tie_heads)
WORDS = Builder(lambda channels, classes, side: WordsNet(classes), {})
LISTED = Builder(lambda channels, classes, side: Listed(channels * side * side, classes), {})
CLOSED = Builder(lambda channels, classes, side: Closed(channels * side * side, classes), {})
READER = Builder(lambda channels, classes, side: Reader(side, classes), {})
MIRROR = Builder(lambda channels, classes, side: Mirror(channels * side * side, classes), {})
