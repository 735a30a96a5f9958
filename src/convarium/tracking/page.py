"""What MLflow's page opens with: a saved view of the experiment that draws accuracy against bytes of every pipeline."""

import json
from collections.abc import Mapping

KEY = "convarium"
NAME = "accuracy against bytes"
TAG = f"mlflow.sharedViewState.{KEY}"
PANELS = (("file_bytes", "accuracy"), ("ratio", "accuracy"), ("macs", "accuracy"))
FOLDED = ("epoch", "bytes", "seconds", "Model metrics", "System metrics")
RUNS = 1000  # as many points as the page draws
SINCE = 1_700_000_000_000


def tags() -> Mapping[str, str]:
    """Return the tags of an experiment: its kind, and the view, which the page lists under Views."""
    envelope = {"name": NAME, "createdAt": SINCE, "updatedAt": SINCE, "state": json.dumps(_state())}
    return {"mlflow.experimentKind": "custom_model_development", TAG: json.dumps(envelope)}


def link(address: str, experiment: str) -> str:
    """Return where a server shows the view."""
    return f"{address.rstrip('/')}/#/experiments/{experiment}/runs?viewStateShareKey={KEY}&compareRunsMode=CHART"


def _state() -> Mapping[str, object]:
    """Return the view in the words of MLflow's page: pipelines alone, flat, each shown."""
    return {
        "searchFilter": "tags.`convarium.kind` != 'sweep'",
        "orderByKey": "metrics.`accuracy`",
        "orderByAsc": False,
        "runsHiddenMode": "SHOW_ALL",
        "useGroupedValuesInCharts": False,
        "compareRunCharts": [_chart(x, y) for x, y in PANELS],
        "compareRunSections": [_section(NAME, True), *(_section(name, False) for name in FOLDED)],
        "isAccordionReordered": True,
    }


def _chart(x: str, y: str) -> Mapping[str, object]:
    return {
        **_place(f"{y}-{x}"),
        "type": "SCATTER",
        "metricSectionId": NAME,
        "xaxis": {"key": x, "type": "METRIC"},
        "yaxis": {"key": y, "type": "METRIC"},
        "runsCountToCompare": RUNS,
    }


def _section(name: str, is_open: bool) -> Mapping[str, object]:
    return {**_place(name), "name": name, "display": is_open, "isReordered": True}


def _place(name: str) -> dict[str, object]:
    return {"uuid": name, "deleted": False, "isGenerated": False}
