"""Carry out what a decider decided."""

from collections.abc import Mapping

from torch import nn

from convarium.compression import edits, host
from convarium.compression.deciders.view import Decision
from convarium.compression.representations.base import Representation


def carry_out(network: nn.Module, decided: Decision | Mapping[str, Representation]) -> Decision:
    """Change `network` in place: edits, then values, then representations; return the whole decision.

    A site that was represented has the same form after the edits, for its values as they are then.

    Raises:
        UserError: an edit, a value or a representation that does not fit.
    """
    decision = decided if isinstance(decided, Decision) else Decision(representations=decided)
    if decision.edits:
        forms = {site: (form, host.tensors(network, site)) for site, form in host.represented(network).items()}
        for site in forms:
            host.detach(network, site)
        edits.apply(network, decision.edits)
        host.put(network, decision.values)
        named = dict(network.named_parameters(remove_duplicate=False))
        kept = forms.keys() & named.keys() - decision.representations.keys()
        for site in sorted(kept):
            form, tensors = forms[site]
            host.attach(network, {site: form.like(host.materialised(network, site), tensors)})
    else:
        for name in decision.values:
            host.detach(network, name)
        host.put(network, decision.values)
    host.attach(network, decision.representations)
    return decision
