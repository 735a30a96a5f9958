"""Split layers in two by a truncated singular value decomposition of their weights.

The shapes are those of Zhang et al. 2015 (channel) and Jaderberg et al. 2014 (spatial), who fit responses to data.
`form: channel` decomposes a kernel as the matrix of outputs x (inputs, height, width), `form: spatial` as that of
(inputs, height) x (outputs, width). Both factors take the square root of the singular values.
"""

from collections.abc import Iterable, Mapping

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

FactorWeights = tuple[Tensor, Tensor]


def svd(view: NetworkView) -> Decision:
    """Split every layer for which the two are smaller than it is, or whose rank `per_site` says as a whole number."""
    form = view.step["form"]
    fitting = _select_factorable(view.network, view.sites, view.step)
    possible = splittable_layers.find_splittable_layers(view.network, [*fitting], form, view.header["input"]["shape"])
    ranks: dict[str, int] = {}
    values: dict[str, Tensor] = {}
    for name in possible:
        weight = view.weights[fitting[name].name]
        decomposed = torch.linalg.svd(_to_matrix(weight, form).double(), full_matrices=False)
        rank = _select_rank(view.step, fitting[name], decomposed[1])
        if rank is not None:
            ranks[name] = rank
            values |= _collect_layer_values(
                name, view.network.get_submodule(name), _build_factor_weights(weight, form, decomposed, rank)
            )
    return Decision(edits=[{"op": "factor", "form": form, "ranks": ranks}] if ranks else [], values=values)


def check_step(network: nn.Module, step: Json) -> None:
    """Refuse ranks that a layer can't have, and a network of which no layer gets smaller.

    Raises:
        UserError: names the layer and its largest rank, or says that nothing is left to do.
    """
    where = f"compression.{step.get('name') or step['method'].rpartition('/')[2]}"
    fitting = _select_factorable(network, sites.resolve_sites(network, step), step)
    for site in fitting.values():
        _check_rank(get_site_knob(step, "rank_fraction", site), site, step["form"], where)
    shape = vars(network).get("input_shape")
    possible = (
        [*fitting]
        if shape is None
        else splittable_layers.find_splittable_layers(network, [*fitting], step["form"], shape)
    )
    if not any(_is_shrinkable(step, fitting[name]) for name in possible):
        said = f"no layer gets smaller by two of this rank; lower {where}.rank_fraction, or leave it out"
        tied = "; those that share a tensor or have two names stay whole" if find_tied_owners(network) else ""
        raise UserError(f"{where}: {said}{tied}")


def _select_factorable(network: nn.Module, candidate_sites: Iterable[Site], step: Json) -> dict[str, Site]:
    """The sites whose layers can be split, by the layer's name; one whose weight or bias has another name stays.

    The last layer makes the classes' logits, of which a low rank can tell only few apart: it stays unless asked for.
    """
    tied = find_tied_owners(network)
    fits = [name for name, module in network.named_modules() if factor.is_factorable(module, step["form"])]
    layers = {site.name.rpartition(".")[0]: site for site in candidate_sites}
    return {
        name: site
        for name, site in layers.items()
        if name in fits and name not in tied and (step["classifier"] or name != fits[-1])
    }


def _check_rank(rank_or_share: float, site: Site, form: str, where: str) -> None:
    largest = _compute_max_rank(site, form)
    if type(rank_or_share) is int and not 1 <= rank_or_share <= largest:
        raise UserError(f"{where}.per_site: rank {rank_or_share} of {site.name} is not in 1..{largest}")
    if type(rank_or_share) is float and not 0 <= rank_or_share <= 1:
        raise UserError(f"{where}.per_site: {rank_or_share} for {site.name}: write a share in 0..1 or a whole rank")


def _is_shrinkable(step: Json, site: Site) -> bool:
    """Whether a layer will be split, as far as that is known before its values are."""
    unknown = step["energy"] is not None or "budget" in step
    return (
        _compute_breakeven_rank(site, step["form"]) > 0 if unknown else _compute_rank_by_share(step, site) is not None
    )


def _select_rank(step: Json, site: Site, singular: Tensor) -> int | None:
    """The rank of a layer; None where it stays whole."""
    named = get_site_knob({**step, "rank_fraction": None}, "rank_fraction", site) is not None
    if step["energy"] is None or named:
        return _compute_rank_by_share(step, site)
    kept = singular.square().cumsum(0) / singular.square().sum().clamp(min=1e-300)
    rank = min(len(singular), 1 + int((kept < step["energy"] - 1e-12).sum()))
    return rank if rank <= _compute_breakeven_rank(site, step["form"]) else None


def _compute_rank_by_share(step: Json, site: Site) -> int | None:
    asked = get_site_knob(step, "rank_fraction", site)
    if type(asked) is int:
        return asked
    rank = max(1, round(asked * _compute_max_rank(site, step["form"])))
    return rank if rank <= _compute_breakeven_rank(site, step["form"]) else None


def _compute_max_rank(site: Site, form: str) -> int:
    return min(_to_matrix(torch.empty(site.shape, device="meta"), form).shape)


def _compute_breakeven_rank(site: Site, form: str) -> int:
    """The largest rank at which two layers have fewer weights than one; 0 where there is none."""
    rows, columns = _to_matrix(torch.empty(site.shape, device="meta"), form).shape
    return (rows * columns - 1) // (rows + columns)


def _to_matrix(weight: Tensor, form: str) -> Tensor:
    """The matrix whose rank is cut: rows are the second layer's, but (inputs, height) for the spatial form."""
    if form == "channel" or weight.dim() == 2:
        return weight.flatten(1)
    return weight.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)


def _build_factor_weights(
    weight: Tensor, form: str, decomposed: tuple[Tensor, Tensor, Tensor], rank: int
) -> FactorWeights:
    """The weights of the first and the second layer."""
    u, s, v = (part.narrow(axis, 0, rank) for part, axis in zip(decomposed, (1, 0, 0), strict=True))
    left, right = u * s.sqrt(), s.sqrt()[:, None] * v
    if form == "channel" or weight.dim() == 2:
        first, second = right.view(rank, *weight.shape[1:]), left.view(-1, rank, *[1] * (weight.dim() - 2))
    else:
        outputs, inputs, high, wide = weight.shape
        first = left.view(inputs, high, rank).permute(2, 0, 1).unsqueeze(3)
        second = right.view(rank, outputs, wide).transpose(0, 1).unsqueeze(2)
    return first.to(weight.dtype).contiguous(), second.to(weight.dtype).contiguous()


def _collect_layer_values(name: str, layer: nn.Module, factors: FactorWeights) -> Mapping[str, Tensor]:
    found = {f"{name}.0.weight": factors[0], f"{name}.1.weight": factors[1]}
    return found if layer.bias is None else {**found, f"{name}.1.bias": parametrization.materialise_site(layer, "bias")}
