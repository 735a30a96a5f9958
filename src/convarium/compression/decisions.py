"""Decisions carried out: edits, then values, then representations."""

from collections.abc import Mapping

from torch import nn

from convarium import edits
from convarium.compression.deciders.interface import Decision
from convarium.representations import parametrization
from convarium.representations.base import Representation


def apply_decision(network: nn.Module, answer: Decision | Mapping[str, Representation]) -> Decision:
    """Change `network` in place by what a decider answered; return it as a whole decision.

    A site that was represented has the same form after the edits, for its values as they are then.

    Raises:
        UserError: an edit, a value or a representation that does not fit.
    """
    decision = answer if isinstance(answer, Decision) else Decision(representations=answer)
    if decision.edits:
        _apply_edits(network, decision)
    else:
        for site in decision.values:
            parametrization.detach_representation(network, site)
        parametrization.replace_tensors(network, decision.values)
    parametrization.attach_representations(network, decision.representations)
    return decision


def _apply_edits(network: nn.Module, decision: Decision) -> None:
    """Edit the bare network, put the values in, and give the sites that are left their forms back."""
    earlier_forms = {
        site: (form, parametrization.get_site_tensors(network, site))
        for site, form in parametrization.collect_representations(network).items()
    }
    # An edit knows plain parameters only.
    for site in earlier_forms:
        parametrization.detach_representation(network, site)
    edits.apply_surgery(network, decision.edits)
    parametrization.replace_tensors(network, decision.values)
    remaining_names = dict(network.named_parameters(remove_duplicate=False)).keys()
    restored_sites = (earlier_forms.keys() & remaining_names) - decision.representations.keys()
    for site in sorted(restored_sites):
        form, tensors = earlier_forms[site]
        rebuilt = form.rebuild(parametrization.materialise_site(network, site), tensors)
        parametrization.attach_representations(network, {site: rebuilt})
