"""Split layers in two by a truncated singular value decomposition of their weights.

The shapes are those of Zhang et al. 2015 (channel) and Jaderberg et al. 2014 (spatial), who fit responses to data.
`form: channel` decomposes a kernel as the matrix of outputs x (inputs, height, width), `form: spatial` as that of
(inputs, height) x (outputs, width). Both factors take the square root of the singular values.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from convarium.architectures.tied_tensors import find_tied_owners
from convarium.compression import sites
from convarium.compression.deciders.interface import Decision, Json, NetworkView
from convarium.compression.sites import Site, get_site_knob
from convarium.compression.structure import splittable_layers
from convarium.edits import factor
from convarium.errors import UserError
from convarium.representations import parametrization

Decomposition = tuple[Tensor, Tensor, Tensor]
FactorWeights = tuple[Tensor, Tensor]


def svd(view: NetworkView) -> Decision:
    """Split every layer that two layers of its rank make smaller, and every layer with a whole rank in `per_site`."""
    form = view.step["form"]
    sites_by_layer = _select_factorable(view.network, view.sites, view.step)
    layer_names = splittable_layers.find_splittable_layers(
        view.network, [*sites_by_layer], form, view.header["input"]["shape"]
    )
    ranks: dict[str, int] = {}
    values: dict[str, Tensor] = {}
    for layer_name in layer_names:
        site = sites_by_layer[layer_name]
        weight = view.weights[site.name]
        decomposition = torch.linalg.svd(_to_matrix(weight, form).double(), full_matrices=False)
        rank = _select_rank(view.step, site, decomposition[1])
        if rank is None:
            continue
        ranks[layer_name] = rank
        factors = _build_factor_weights(weight, form, decomposition, rank)
        values |= _collect_layer_values(layer_name, view.network.get_submodule(layer_name), factors)
    edits = [{"op": "factor", "form": form, "ranks": ranks}] if ranks else []
    return Decision(edits=edits, values=values)


def check_step(network: nn.Module, step: Json) -> None:
    """Refuse ranks that a layer can't have, and a network of which no layer gets smaller.

    Raises:
        UserError: names the layer and its largest rank, or says that no layer would be split.
    """
    where = f"compression.{step.get('name') or step['method'].rpartition('/')[2]}"
    sites_by_layer = _select_factorable(network, sites.resolve_sites(network, step), step)
    for site in sites_by_layer.values():
        _check_rank(get_site_knob(step, "rank_fraction", site), site, step["form"], where)
    layer_names = [*sites_by_layer]
    # A trial pass needs the size of an image, which a network without `input_shape` doesn't know.
    shape = vars(network).get("input_shape")
    if shape is not None:
        layer_names = splittable_layers.find_splittable_layers(network, layer_names, step["form"], shape)
    if not any(_is_shrinkable(step, sites_by_layer[name]) for name in layer_names):
        message = f"no layer gets smaller by two of this rank; lower {where}.rank_fraction, or leave it out"
        tied_hint = "; those that share a tensor or have two names stay whole" if find_tied_owners(network) else ""
        raise UserError(f"{where}: {message}{tied_hint}")


def _select_factorable(network: nn.Module, candidate_sites: Iterable[Site], step: Json) -> dict[str, Site]:
    """The sites of layers that can be split, by the layer's name; a layer with a tied weight or bias is left out."""
    tied_owners = find_tied_owners(network)
    factorable_names = [name for name, module in network.named_modules() if factor.is_factorable(module, step["form"])]
    sites_by_layer = {site.name.rpartition(".")[0]: site for site in candidate_sites}
    selection: dict[str, Site] = {}
    for name, site in sites_by_layer.items():
        if name not in factorable_names or name in tied_owners:
            continue
        # The last layer makes the logits; one of low rank can tell only few classes apart.
        if step["classifier"] or name != factorable_names[-1]:
            selection[name] = site
    return selection


def _check_rank(rank_or_share: float, site: Site, form: str, where: str) -> None:
    largest = _compute_max_rank(site, form)
    if type(rank_or_share) is int and not 1 <= rank_or_share <= largest:
        raise UserError(f"{where}.per_site: rank {rank_or_share} of {site.name} is not in 1..{largest}")
    if type(rank_or_share) is float and not 0 <= rank_or_share <= 1:
        raise UserError(f"{where}.per_site: {rank_or_share} for {site.name}: write a share in 0..1 or a whole rank")


def _is_shrinkable(step: Json, site: Site) -> bool:
    """Whether a layer may be split, as far as that can be told without its weights."""
    # `energy` finds the rank from the weights, and a budget's rank is not solved for yet.
    if step["energy"] is not None or "budget" in step:
        return _compute_breakeven_rank(site, step["form"]) > 0
    return _compute_rank_by_share(step, site) is not None


def _select_rank(step: Json, site: Site, singular_values: Tensor) -> int | None:
    """The rank of a layer; None where it stays whole."""
    # Without its default the knob has a value only where `per_site` names the layer.
    is_in_per_site = get_site_knob({**step, "rank_fraction": None}, "rank_fraction", site) is not None
    if step["energy"] is None or is_in_per_site:
        return _compute_rank_by_share(step, site)
    # Eckart and Young: the squared singular values that are left out sum to the squared error of the weights.
    squares = singular_values.square()
    energies = squares.cumsum(0) / squares.sum().clamp(min=1e-300)  # the clamp is for weights that are all zero
    # The tolerance is for the rounding of the cumulative sum: energy=1 would else ask for the full rank.
    insufficient_ranks = int((energies < step["energy"] - 1e-12).sum())
    rank = min(len(singular_values), 1 + insufficient_ranks)
    return rank if rank <= _compute_breakeven_rank(site, step["form"]) else None


def _compute_rank_by_share(step: Json, site: Site) -> int | None:
    """The rank that the knobs give a layer; None where two layers of this rank are not smaller."""
    rank_or_share = get_site_knob(step, "rank_fraction", site)
    if type(rank_or_share) is int:
        return rank_or_share
    rank = max(1, round(rank_or_share * _compute_max_rank(site, step["form"])))
    return rank if rank <= _compute_breakeven_rank(site, step["form"]) else None


def _compute_max_rank(site: Site, form: str) -> int:
    return min(_to_matrix(torch.empty(site.shape, device="meta"), form).shape)


def _compute_breakeven_rank(site: Site, form: str) -> int:
    """The largest rank r with r (rows + columns) < rows * columns, weights of two layers and of one; 0 for none."""
    rows, columns = _to_matrix(torch.empty(site.shape, device="meta"), form).shape
    return (rows * columns - 1) // (rows + columns)


def _to_matrix(weight: Tensor, form: str) -> Tensor:
    """The matrix to decompose: (outputs, inputs * kernel), or (inputs * height, outputs * width) for form spatial."""
    if form == "channel" or weight.dim() == 2:
        return weight.flatten(1)
    return weight.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)


def _build_factor_weights(weight: Tensor, form: str, decomposition: Decomposition, rank: int) -> FactorWeights:
    """The weights of the first and the second layer, whose product U S V of the `rank` largest S is."""
    u, s, v = decomposition
    root = s[:rank].sqrt()
    left = u[:, :rank] * root
    right = root[:, None] * v[:rank]
    if form == "channel" or weight.dim() == 2:
        first = right.view(rank, *weight.shape[1:])
        second = left.view(-1, rank, *[1] * (weight.dim() - 2))
    else:
        outputs, inputs, height, width = weight.shape
        first = left.view(inputs, height, rank).permute(2, 0, 1).unsqueeze(3)
        second = right.view(rank, outputs, width).transpose(0, 1).unsqueeze(2)
    return first.to(weight.dtype).contiguous(), second.to(weight.dtype).contiguous()


def _collect_layer_values(layer_name: str, layer: nn.Module, factors: FactorWeights) -> dict[str, Tensor]:
    """The tensors of the two layers by name; the second has the bias."""
    first, second = factors
    values = {f"{layer_name}.0.weight": first, f"{layer_name}.1.weight": second}
    if layer.bias is not None:
        values[f"{layer_name}.1.bias"] = parametrization.materialise_site(layer, "bias")
    return values
