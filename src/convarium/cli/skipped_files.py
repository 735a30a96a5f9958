"""The files that `dataset.on_error=skip` left out, reported once at the end of a run."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convarium.planning.plan import Plan
    from convarium.store.store import Store


def format_skipped_files(plan: "Plan", store: "Store") -> list[str]:
    """Return a line for each dataset of a plan whose finished stages left files out."""
    counts_by_dataset: dict[tuple[str, str], dict[str, int]] = {}
    for signature, node in plan.nodes.items():
        record = store.find_record(signature)
        if record and record["result"].get("skipped"):
            dataset = node.stage_config["dataset"]
            counts = counts_by_dataset.setdefault((dataset["name"], str(dataset["fingerprint"])), {})
            # Not added up: each stage that reads a part leaves out the same files of it.
            counts.update(record["result"]["skipped"])
    lines = []
    for (name, _), counts in counts_by_dataset.items():
        parts = ", ".join(f"{part} {count}" for part, count in counts.items())
        count = sum(counts.values())
        files = "1 file is not an image and was" if count == 1 else f"{count:,} files are not images and were"
        lines.append(f"dataset {name}: {files} left out ({parts})")
    return lines
