"""Carry out what a decider decided."""

from collections.abc import Mapping

from torch import nn

from convarium import edits
from convarium.compression.deciders.interface import Decision
from convarium.representations import parametrization
from convarium.representations.base import Representation


def apply_decision(network: nn.Module, decided: Decision | Mapping[str, Representation]) -> Decision:
    """Change `network` in place: edits, then values, then representations; return the whole decision.

    A site that was represented has the same form after the edits, for its values as they are then.

    Raises:
        UserError: an edit, a value or a representation that does not fit.
    """
    decision = decided if isinstance(decided, Decision) else Decision(representations=decided)
    if decision.edits:
        forms = {
            site: (form, parametrization.get_site_tensors(network, site))
            for site, form in parametrization.collect_representations(network).items()
        }
        for site in forms:
            parametrization.detach_representation(network, site)
        edits.apply_surgery(network, decision.edits)
        parametrization.replace_tensors(network, decision.values)
        named = dict(network.named_parameters(remove_duplicate=False))
        kept = forms.keys() & named.keys() - decision.representations.keys()
        for site in sorted(kept):
            form, tensors = forms[site]
            parametrization.attach_representations(
                network, {site: form.rebuild(parametrization.materialise_site(network, site), tensors)}
            )
    else:
        for name in decision.values:
            parametrization.detach_representation(network, name)
        parametrization.replace_tensors(network, decision.values)
    parametrization.attach_representations(network, decision.representations)
    return decision
