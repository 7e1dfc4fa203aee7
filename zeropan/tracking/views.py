"""Links into MLflow's UI, and a saved view of an experiment that compares runs by their pictures.

The view is an experiment tag, in the format that the UI of MLflow 3.17 writes when one saves a
chart view by hand. That format is not documented: when another MLflow reads it wrongly, the worst
is that the link opens the plain list of runs.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from zeropan.tracking.client import talking_to_mlflow
from zeropan.tracking.database import open_experiment
from zeropan.tracking.names import MAX_EXPERIMENT_TAG_LENGTH, image_key, legal_key
from zeropan.tracking.settings import TrackingSettings

VIEW_KEY = "zeropan-steps"
"""Names the saved view in its tag and in links."""
_TAG = f"mlflow.sharedViewState.{VIEW_KEY}"
# The UI opens in another mode of MLflow, without the runs, unless a link says this.
_MODE = "workflowType=machine_learning"
_MOST_RUNS = 10

METRIC_CHARTS = ("count/things", "count/stuff", "coverage/total", "score/things_mean")
PARAMETERS = (
    "things/box_threshold",
    "things/text_threshold",
    "stuff_regions/background_threshold",
    "panoptic/fill",
)


def run_link(ui_base: str, experiment_id: str, run_id: str) -> str:
    """The address of a run's page; `ui_base` is the UI's address."""
    return f"{ui_base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}?{_MODE}"


def artifact_address(run_id: str, path: str) -> str:
    """A run's file, relative to the UI's own address; this is what descriptions can show."""
    return "/get-artifact?" + urlencode({"path": path, "run_uuid": run_id}, quote_via=quote)


def view_link(ui_base: str, experiment_id: str, *, view_key: str | None = VIEW_KEY) -> str:
    """The address of the experiment's runs; with a view key, of its saved view with the pictures.

    Args:
        ui_base: the UI's address, such as http://localhost:5000.
        experiment_id: `TrackedRun.experiment_id`.
        view_key: `VIEW_KEY` after `save_view`, else None.
    """
    address = f"{ui_base.rstrip('/')}/#/experiments/{experiment_id}/runs?{_MODE}"
    if view_key is None:
        return address
    return f"{address}&compareRunsMode=CHART&viewStateShareKey={view_key}"


def save_view(settings: TrackingSettings, image_keys: Sequence[str]) -> str:
    """Save the view that shows one row a step and one column a run; return the experiment's id.

    Args:
        settings: where the experiment is.
        image_keys: the pictures' keys, in the order of the rows, the result last; those of
            `panels`.

    Raises:
        TrackingError: the experiment's store does not answer.
    """
    with talking_to_mlflow("save the view of the experiment", settings.uri):
        client, experiment_id = open_experiment(settings)
        client.set_experiment_tag(experiment_id, _TAG, encoded_view(image_keys))
    return experiment_id


def encoded_view(image_keys: Sequence[str]) -> str:
    """The saved view as the text of its tag."""
    state = json.dumps(view_state(image_keys), separators=(",", ":")).encode()
    now = int(time.time() * 1000)
    text = json.dumps(
        {
            "name": "Steps, side by side",
            "createdAt": now,
            "updatedAt": now,
            "state": "deflate;" + base64.b64encode(zlib.compress(state, 9)).decode(),
        }
    )
    if len(text) > MAX_EXPERIMENT_TAG_LENGTH:
        raise ValueError(f"image_keys: {len(image_keys)} keys do not fit into one view")
    return text


def view_state(image_keys: Sequence[str]) -> dict[str, Any]:
    """The view before it is packed: the results, the steps, then parallel axes and a few bars."""
    result, steps, numbers = "zeropan-result", "zeropan-steps", "zeropan-numbers"
    charts: list[dict[str, Any]] = [
        _pictures(result, image_keys[-1:]),
        _pictures(steps, image_keys),
        _chart(
            "PARALLEL",
            numbers,
            selectedParams=list(PARAMETERS),
            selectedMetrics=["coverage/total", "count/things"],
        ),
    ]
    for key in METRIC_CHARTS:
        charts.append(_chart("BAR", numbers, metricKey=legal_key(key)))
    return {
        "compareRunCharts": charts,
        "compareRunSections": [
            _section(result, "Results, one column a run", 1, 420),
            _section(steps, "Steps, one row each", 1, 1100),
            _section(numbers, "Numbers", 3, 360),
        ],
        "selectedColumns": [
            *(f"params.`{key}`" for key in PARAMETERS),
            *(f"metrics.`{key}`" for key in METRIC_CHARTS),
        ],
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _pictures(section: str, image_keys: Sequence[str]) -> dict[str, Any]:
    keys = [image_key(key) for key in image_keys]
    # Every parameter would be printed above the picture and push it out of sight.
    chart = _chart("IMAGE", section, imageKeys=keys, step=0, showRunParams=False)
    return {**chart, "uuid": f"{section}-pictures"}


def _chart(kind: str, section: str, **fields: Any) -> dict[str, Any]:
    what = str(fields.get("metricKey", kind)).replace("/", "-").lower()
    return {
        "type": kind,
        "uuid": f"zeropan-chart-{what}",
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": _MOST_RUNS,
        **fields,
    }


def _section(uuid: str, name: str, columns: int, height: int) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": True,
        "columns": columns,
        "cardHeight": height,
        "deleted": False,
        "isGenerated": False,
    }
