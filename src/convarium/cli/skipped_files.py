"""What `dataset.on_error=skip` left out is said once, at the end of a run."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convarium.planning.plan import Plan
    from convarium.store.store import Store


def format_skipped_files(graph: "Plan", store: "Store") -> list[str]:
    """Return a line for each dataset of a plan whose finished stages left files out."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for signature, node in graph.nodes.items():
        done = store.find_record(signature)
        if done and done["result"].get("skipped"):
            data = node.stage_config["dataset"]
            counts.setdefault((data["name"], str(data["fingerprint"])), {}).update(done["result"]["skipped"])
    return [
        f"dataset {name}: {sum(parts.values())} files are not images and were left out"
        f" ({', '.join(f'{part} {count}' for part, count in parts.items())})"
        for (name, _), parts in counts.items()
    ]
