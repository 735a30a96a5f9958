"""The saved view of an experiment in MLflow's page: charts of accuracy against bytes over all pipelines."""

import json
from collections.abc import Mapping

VIEW_KEY = "convarium"
VIEW_NAME = "accuracy against bytes"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
CHART_METRICS = (("file_bytes", "accuracy"), ("ratio", "accuracy"), ("macs", "accuracy"))
FOLDED_SECTIONS = ("epoch", "bytes", "seconds", "Model metrics", "System metrics")
MAX_CHART_RUNS = 1000  # as many points as the page draws
CREATED_AT_MILLISECONDS = 1_700_000_000_000


def build_experiment_tags() -> Mapping[str, str]:
    """Return the tags of an experiment: its kind, and the saved view, which the page lists under Views."""
    envelope = {
        "name": VIEW_NAME,
        "createdAt": CREATED_AT_MILLISECONDS,
        "updatedAt": CREATED_AT_MILLISECONDS,
        "state": json.dumps(_build_view_state()),
    }
    return {"mlflow.experimentKind": "custom_model_development", VIEW_TAG: json.dumps(envelope)}


def is_unedited_view(tag: str) -> bool:
    """Whether an experiment's tag is the view as some version of Convarium wrote it.

    MLflow's page writes the current time as `updatedAt` when a user changes a view.
    """
    try:
        envelope = json.loads(tag)
    except ValueError:
        return False
    return isinstance(envelope, dict) and envelope.get("updatedAt") == CREATED_AT_MILLISECONDS


def format_view_link(address: str, experiment: str) -> str:
    """Return the address of the view in a server's page."""
    return f"{address.rstrip('/')}/#/experiments/{experiment}/runs?viewStateShareKey={VIEW_KEY}&compareRunsMode=CHART"


def _build_view_state() -> Mapping[str, object]:
    """Return the view as MLflow's page stores it: pipelines alone, ungrouped, none of them hidden."""
    return {
        "searchFilter": "tags.`convarium.kind` != 'sweep'",
        "orderByKey": "metrics.`validation_accuracy`",  # selection reads validation only
        "orderByAsc": False,
        "runsHiddenMode": "SHOW_ALL",
        "useGroupedValuesInCharts": False,
        "compareRunCharts": [_build_chart(x, y) for x, y in CHART_METRICS],
        "compareRunSections": [
            _build_section(VIEW_NAME, is_open=True),
            *(_build_section(name, is_open=False) for name in FOLDED_SECTIONS),
        ],
        "isAccordionReordered": True,
    }


def _build_chart(x: str, y: str) -> Mapping[str, object]:
    return {
        **_build_common_fields(f"{y}-{x}"),
        "type": "SCATTER",
        "metricSectionId": VIEW_NAME,
        "xaxis": {"key": x, "type": "METRIC"},
        "yaxis": {"key": y, "type": "METRIC"},
        "runsCountToCompare": MAX_CHART_RUNS,
    }


def _build_section(name: str, is_open: bool) -> Mapping[str, object]:
    return {**_build_common_fields(name), "name": name, "display": is_open, "isReordered": True}


def _build_common_fields(name: str) -> dict[str, object]:
    return {"uuid": name, "deleted": False, "isGenerated": False}
