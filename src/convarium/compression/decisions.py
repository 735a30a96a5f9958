"""Apply a decision to a network: edits, then values, then representations."""

from collections.abc import Mapping

from torch import nn

from convarium import edits
from convarium.compression.deciders.interface import Decision
from convarium.representations import parametrization
from convarium.representations.base import Representation


def apply_decision(network: nn.Module, answer: Decision | Mapping[str, Representation]) -> Decision:
    """Change `network` in place as a decider answered, and return the answer as a Decision.

    A site that had a representation gets the same form again after the edits, fitted to the values that it then has.

    Raises:
        UserError: an edit, a value or a representation does not fit the network.
    """
    decision = answer if isinstance(answer, Decision) else Decision(representations=answer)
    if decision.edits:
        _apply_edits(network, decision)
    else:
        # Only plain parameters can be set.
        for site in decision.values:
            parametrization.detach_representation(network, site)
        parametrization.replace_tensors(network, decision.values)
    parametrization.attach_representations(network, decision.representations)
    return decision


def _apply_edits(network: nn.Module, decision: Decision) -> None:
    """Edit the network with plain parameters, set the values, and represent the remaining sites as before."""
    earlier_forms = parametrization.collect_representations(network)
    earlier_tensors = {site: parametrization.get_site_tensors(network, site) for site in earlier_forms}
    # An edit knows plain parameters only.
    for site in earlier_forms:
        parametrization.detach_representation(network, site)
    edits.apply_surgery(network, decision.edits)
    parametrization.replace_tensors(network, decision.values)
    remaining_names = dict(network.named_parameters(remove_duplicate=False)).keys()
    restored_sites = (earlier_forms.keys() & remaining_names) - decision.representations.keys()
    # Sorted, because a set of strings has another order in each process.
    for site in sorted(restored_sites):
        values = parametrization.materialise_site(network, site)
        rebuilt = earlier_forms[site].rebuild(values, earlier_tensors[site])
        parametrization.attach_representations(network, {site: rebuilt})
