"""The pages under ``/evergreen``: what the links on a task open.

A page names its DAG in its path, and Airflow is asked whether this user may read that very DAG. The DAG's name then says
whose records are looked up, so that nobody reaches another dataset's or model's through a DAG of their own.
"""

from __future__ import annotations

import datetime as dt
from functools import cache

from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from evergreen_airflow.links import mlflow_ui
from evergreen_airflow.ui.cards import card_response
from evergreen_airflow.ui.pages import Problem, problem_page, render
from evergreen_airflow.ui.report import report_response
from evergreen_airflow.ui.validation import ValidationView
from evergreen_airflow.ui.versions import AlertView, VersionView
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError

dag_pages = APIRouter(prefix="/dags/{dag_id}", dependencies=[Depends(requires_access_dag(method="GET"))])


@cache
def create_app() -> FastAPI:
    """The app, one for each process. Every route of it needs a login, whatever else the route asks for."""
    app = FastAPI(
        title="Evergreen",
        dependencies=[Depends(get_user)],
        openapi_url=None,  # without it there are no docs pages either, which would be open to all
        redirect_slashes=False,
    )
    app.include_router(dag_pages)
    app.add_exception_handler(Problem, _show_problem)
    app.add_exception_handler(HTTPException, _show_refusal)
    app.add_exception_handler(EvergreenError, _show_error)
    return app


@dag_pages.get("/validations/{partition}")
def validation_page(request: Request, dag_id: str, partition: str) -> Response:
    """The newest validation of one partition of the dataset that ``dag_id`` ingests."""
    # imports numpy, which starting the server need not wait for
    from include.evergreen.data.validation import latest_validation, next_validated, recent_validations

    dataset, day = _subject(dag_id, "ingest", "dataset"), _day(partition)
    found = latest_validation(dataset, day)
    if found is None:
        raise Problem(
            404,
            f"No validation of {dataset} for {day} yet",
            f"{dataset} has no validated partition {day}: it was never ingested, or its ingestion has not come that far.",
            f"Look at the runs of {dag_id}. To ingest that day, trigger the DAG with the partition key {day}.",
        )
    view = ValidationView(dataset, found, recent_validations(dataset, day), next_validated(dataset, day))
    return render(request, "validation.html", dag_id=dag_id, day=day, view=view)


@dag_pages.get("/reports/{partition}")
def report_page(request: Request, dag_id: str, partition: str) -> Response:
    """Evidently's report of the window that one partition ends, of the model that ``dag_id`` monitors; drawn when it is opened."""
    return report_response(request, dag_id, _subject(dag_id, "monitor", "model"), _day(partition))


@dag_pages.get("/versions")
def versions_page(request: Request, dag_id: str) -> Response:
    """All versions of the model that ``dag_id`` trains, and its open alerts."""
    from include.evergreen.registry.overview import version_history
    from include.evergreen.state.alerts import open_alerts

    model = _subject(dag_id, "train", "model")
    return render(
        request,
        "versions.html",
        dag_id=dag_id,
        model=model,
        versions=[VersionView(each) for each in version_history(model)],
        alerts=[AlertView(each) for each in open_alerts(model)],
        mlflow=mlflow_ui(),
    )


@dag_pages.get("/cards/{version}")
def card_page(request: Request, dag_id: str, version: str) -> Response:
    """The model card of one version of the model that ``dag_id`` trains."""
    return card_response(request, dag_id, _subject(dag_id, "train", "model"), version)


def _subject(dag_id: str, stage: str, kind: str) -> str:
    """The dataset or model whose DAG this is."""
    name, _, found = dag_id.rpartition(".")
    if found != stage or not name:
        raise Problem(
            404,
            "There is no such page",
            f"{dag_id} is not the {stage} DAG of a {kind}, so it has nothing to show here.",
            f"These pages belong to DAGs that are named <{kind}>.{stage}.",
        )
    return name


def _day(partition: str) -> dt.date:
    try:
        return clock.parse_partition(partition)
    except ConfigError as error:
        raise Problem(400, "That is no partition", str(error)) from error


def _show_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_page(request, error)


def _show_refusal(request: Request, error: Exception) -> Response:
    """What FastAPI or Airflow refuses: no login, no permission, no such route."""
    assert isinstance(error, HTTPException)
    title, words, advice = _REFUSALS.get(error.status_code, (str(error.detail), "", ""))
    return problem_page(request, Problem(error.status_code, title, words, advice), headers=error.headers)


def _show_error(request: Request, error: Exception) -> Response:
    status = next((status for kind, status in _ERROR_STATUS.items() if isinstance(error, kind)), 500)
    return problem_page(request, Problem(status, "This could not be read", str(error)))


_REFUSALS = {
    401: ("You are not logged in", "This page shows data of a DAG, so Airflow has to know who you are.", ""),
    403: (
        "You may not see this DAG",
        "Your login does not include reading this DAG, and so not what it recorded.",
        "Ask whoever manages your Airflow's roles for read access to it.",
    ),
    404: ("There is no such page", "Evergreen has no page at this address.", "Open one from a task's links in Airflow."),
}
_ERROR_STATUS: dict[type[EvergreenError], int] = {DataError: 404, TransientError: 503, ConfigError: 500}
