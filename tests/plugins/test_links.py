from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, BaseOperator, BaseOperatorLink

from evergreen_airflow.links import DriftReportLink, MlflowRunLink, ModelCardLink, ValidationLink

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

RUN = "0f3a9c"


class RunningTask:
    """As much of the worker's task instance as a link may ask."""

    task_id, map_index = "train", -1

    def __init__(
        self, *, dag_id: str = "weather.ingest", key: str | None = None, params: dict[str, Any] | None = None, returned: Any = None
    ) -> None:
        self.dag_id = dag_id
        self._context = {"params": params or {}, "dag_run": SimpleNamespace(dag_id=dag_id, partition_key=key)}
        self._returned = returned

    def get_template_context(self) -> dict[str, Any]:
        return self._context

    def xcom_pull(self, *, task_ids: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index), "a task's link is about what this task returned"
        return self._returned


def link_of(link: BaseOperatorLink, **running: Any) -> str:
    return link.get_link(BaseOperator(task_id="train"), ti_key=RunningTask(**running))  # type: ignore[arg-type]


# --- pages of a partition -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "dag_id", "page"),
    [(ValidationLink(), "weather.ingest", "validations"), (DriftReportLink(), "air_time.monitor", "reports")],
)
def test_a_link_names_the_dag_and_the_runs_partition(link: BaseOperatorLink, dag_id: str, page: str) -> None:
    assert link_of(link, dag_id=dag_id, key="2013-02-09") == f"evergreen/dags/{dag_id}/{page}/2013-02-09"


def test_a_run_without_a_key_has_the_link_of_its_parameter_and_one_that_contradicts_itself_has_none() -> None:
    assert link_of(ValidationLink(), params={"partition": "2013-02-01"}).endswith("/2013-02-01")
    assert link_of(ValidationLink(), key="2013-02-09", params={"partition": "2013-02-01"}) == ""


@pytest.mark.parametrize("key", [None, "junk; drop table", "2013-02-30"])
def test_a_run_without_a_partition_has_no_link(key: str | None) -> None:
    assert link_of(ValidationLink(), key=key) == ""
    assert link_of(DriftReportLink(), key=key) == ""


def test_a_task_that_drew_the_report_of_a_firing_links_to_it_though_its_run_has_no_partition() -> None:
    found = link_of(DriftReportLink(), dag_id="air_time.retrain", returned={"partition": "2013-02-09", "report": "reports/..."})
    assert found == "evergreen/dags/air_time.monitor/reports/2013-02-09"
    assert link_of(DriftReportLink(), dag_id="air_time.retrain") == ""


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("link", "dag_id"), [(ValidationLink(), "weather.ingest"), (DriftReportLink(), "flight_delay.monitor")])
def test_a_link_opens_a_page_that_exists(reader: TestClient, link: BaseOperatorLink, dag_id: str) -> None:
    answer = reader.get("/" + link_of(link, dag_id=dag_id, key="2013-02-09"))
    assert answer.status_code == 404
    assert "for 2013-02-09 yet" in answer.text, "the page knows the partition; there is only nothing recorded"


# --- MLflow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("EVERGREEN_MLFLOW_UI_URL", "https://mlflow.example/", f"https://mlflow.example/#/runs/{RUN}"),
        ("EVERGREEN_MLFLOW_UI_URL", "https://example/tools/mlflow", f"https://example/tools/mlflow/#/runs/{RUN}"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", f"http://mlflow:5000/#/runs/{RUN}"),
        ("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000", f"http://mlflow:5000/#/runs/{RUN}"),
        ("MLFLOW_TRACKING_URI", "postgresql://me:secret@db/mlflow", ""),
        ("MLFLOW_TRACKING_URI", "databricks", ""),
        ("EVERGREEN_MLFLOW_UI_URL", "javascript:alert(1)", ""),
    ],
)
@pytest.mark.usefixtures("home")
def test_the_mlflow_run_is_linked_where_mlflow_has_pages(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str) -> None:
    monkeypatch.setenv(variable, value)
    assert link_of(MlflowRunLink(), returned={"mlflow_run_id": RUN}) == expected


@pytest.mark.usefixtures("home")
def test_the_ui_that_people_use_goes_before_the_server_that_tasks_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setenv("EVERGREEN_MLFLOW_UI_URL", "https://mlflow.example")
    assert link_of(MlflowRunLink(), returned={"mlflow_run_id": RUN}).startswith("https://mlflow.example/")


@pytest.mark.usefixtures("home")
def test_without_an_mlflow_server_there_is_no_link() -> None:
    assert link_of(MlflowRunLink(), returned={"mlflow_run_id": RUN}) == ""


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("returned", [None, {}, {"mlflow_run_id": None}, "a string"])
def test_a_task_that_names_no_run_has_no_link(monkeypatch: pytest.MonkeyPatch, returned: Any) -> None:
    monkeypatch.setenv("EVERGREEN_MLFLOW_UI_URL", "https://mlflow.example")
    assert link_of(MlflowRunLink(), returned=returned) == ""


# --- the model card -------------------------------------------------------------------------------------------------


def test_the_card_of_the_version_that_was_registered_is_linked() -> None:
    assert link_of(ModelCardLink(), dag_id="air_time.train", returned={"version": 3}) == "evergreen/dags/air_time.train/cards/3"


@pytest.mark.parametrize("returned", [None, {}, {"version": None}, {"version": "3/../../x"}, "a string"])
def test_a_task_that_registered_nothing_has_no_card(returned: Any) -> None:
    assert link_of(ModelCardLink(), dag_id="air_time.train", returned=returned) == ""


# --- Airflow --------------------------------------------------------------------------------------------------------


def test_the_api_server_knows_the_links_of_a_serialized_task() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    class Linked(BaseOperator):
        operator_extra_links = (ValidationLink(), DriftReportLink(), MlflowRunLink(), ModelCardLink())

    with DAG("weather.ingest", schedule=None) as dag:
        Linked(task_id="validate")
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("validate")
    assert {link.name: link.xcom_key for link in task.operator_extra_links} == {
        "Validation result": "_link_ValidationLink",
        "Drift report": "_link_DriftReportLink",
        "MLflow run": "_link_MlflowRunLink",
        "Model card": "_link_ModelCardLink",
    }
