"""The pages under ``/evergreen``, which a task's extra links, the navigation and the tabs of DAGs, runs and tasks open.

The path of a page about a DAG names it, and Airflow checks that the user may read that DAG. The DAG id alone determines which dataset's
or model's records are shown, so access to one DAG gives no access to another's records. The pages on call ask `oncall.viewer`.
"""

from __future__ import annotations

from functools import cache

from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from evergreen_airflow.links import mlflow_ui
from evergreen_airflow.ui.cards import card_response
from evergreen_airflow.ui.oncall import api, web
from evergreen_airflow.ui.pages import PrivateAnswers, Problem, problem_page, render
from evergreen_airflow.ui.performance import DAYS_SHOWN, PerformanceView
from evergreen_airflow.ui.report import document_response, report_response, window_response
from evergreen_airflow.ui.validation import ValidationView
from evergreen_airflow.ui.versions import AlertView, VersionView
from evergreen_airflow.watch.health import health_routes
from evergreen_airflow.watch.lifespan import watching
from include.evergreen.foundation.errors import ConfigError, DataError, EvergreenError, TransientError
from include.evergreen.foundation.grain import Partition, parse_any
from include.evergreen.state.alerts import Filter, Scope, StaleActError, list_alerts

dag_pages = APIRouter(
    prefix="/dags/{dag_id}", dependencies=[Depends(requires_access_dag(method="GET"))], include_in_schema=False
)  # the OpenAPI document is of the API alone


@cache
def create_app() -> FastAPI:
    """Build the app, once in each process.

    :returns: the app; every route requires a login in addition to its own checks
    """
    app = FastAPI(
        title="Evergreen",
        dependencies=[Depends(get_user)],
        summary="Alerts of datasets, models and Airflow itself. Tokens are Airflow's own: Authorization: Bearer ...",
        openapi_url=None,  # this disables FastAPI's own document and docs pages, which would need no login
        redirect_slashes=False,
        lifespan=watching,
        middleware=[Middleware(PrivateAnswers)],
    )
    for router in (dag_pages, api.router, web.router, health_routes):
        app.include_router(router, responses=api.answers(401, 403))
    app.add_exception_handler(Problem, _show_problem)
    app.add_exception_handler(HTTPException, _show_http_error)
    app.add_exception_handler(RequestValidationError, _show_invalid_request)
    app.add_exception_handler(EvergreenError, _show_error)
    return app


@dag_pages.get("/validations/{partition}")
def validation_page(request: Request, dag_id: str, partition: str) -> Response:
    """Show the newest validation of one partition of the dataset that ``dag_id`` ingests.

    :param request: the request
    :param dag_id: the DAG in the page's path, which the user may read
    :param partition: the day in the page's path
    :returns: the page
    :raises Problem: if the path names no such dataset or no day, or there is no validation of that day
    """
    # imports numpy, which the start of the server should not wait for
    from include.evergreen.data.validation import latest_validation, next_validated, recent_validations

    dataset, day = _declared_name(dag_id, "ingest", "dataset"), _day(partition)
    validation = latest_validation(dataset, day)
    if validation is None:
        raise Problem(
            404,
            f"No validation of {dataset} for {day} yet",
            f"{dataset} has no validated partition {day}: it was never ingested, or its ingestion has not reached validation.",
            f"Check the runs of {dag_id}. To ingest that day, trigger the DAG with the partition key {day}.",
        )
    view = ValidationView(dataset, validation, recent_validations(dataset, day), next_validated(dataset, day))
    return render(request, "validation.html", dag_id=dag_id, day=day, view=view)


@dag_pages.get("/reports/{partition}")
def report_page(request: Request, dag_id: str, partition: str) -> Response:
    """Show the drift report of a window of the model that ``dag_id`` monitors. It is rendered if it is missing.

    :param request: the request
    :param dag_id: the DAG in the page's path, which the user may read
    :param partition: the day in the page's path, which ends the window
    :returns: the report in our frame, or a page that refreshes itself while it is being rendered
    """
    return report_response(request, dag_id, _declared_name(dag_id, "monitor", "model"), _day(partition))


@dag_pages.get("/reports/{partition}/document")
def report_document(dag_id: str, partition: str) -> Response:
    """Return the drift report that `report_page` shows in its frame.

    :param dag_id: the DAG in the page's path, which the user may read
    :param partition: the day in the page's path, which ends the window
    :returns: the report
    """
    return document_response(_declared_name(dag_id, "monitor", "model"), _day(partition))


@dag_pages.get("/windows/{partition}")
def window_page(request: Request, dag_id: str, partition: str) -> Response:
    """Show a window of the model that ``dag_id`` monitors: figures, distributions, and what changed in a week.

    :param request: the request
    :param dag_id: the DAG in the page's path, which the user may read
    :param partition: the day in the page's path, which ends the window
    :returns: the page
    """
    return window_response(request, dag_id, _declared_name(dag_id, "monitor", "model"), _day(partition))


@dag_pages.get("/versions")
def versions_page(request: Request, dag_id: str, viewer: api.ViewerDep) -> Response:
    """Show all versions of the model that ``dag_id`` trains, its recent performance, and the open alerts, also those of the platform.

    :param request: the request
    :param dag_id: the DAG in the page's path, which the user may read
    :param viewer: who asks
    :returns: the page
    """
    from include.evergreen.monitoring.performance import recent_performance
    from include.evergreen.registry.overview import version_history

    model = _declared_name(dag_id, "train", "model")
    of_platform = list_alerts(Filter(), Scope(frozenset()))  # what has no place is all that one sees without a DAG
    reads = viewer.reads if viewer.reads.dags is None else Scope(viewer.reads.dags | {dag_id})
    return render(
        request,
        "versions.html",
        dag_id=dag_id,
        model=model,
        versions=[VersionView(history) for history in version_history(model)],
        performance=[PerformanceView(day) for day in recent_performance(model, DAYS_SHOWN)],
        alerts=[AlertView(alert) for alert in (*of_platform, *list_alerts(Filter(name=model), reads))],
        mlflow=mlflow_ui(),
    )


@dag_pages.get("/cards/{version}")
def card_page(request: Request, dag_id: str, version: str) -> Response:
    """Show the model card of one version of the model that ``dag_id`` trains.

    :param request: the request
    :param dag_id: the DAG in the page's path, which the user may read
    :param version: the number in the page's path, as text
    :returns: the page
    """
    return card_response(request, dag_id, _declared_name(dag_id, "train", "model"), version)


def _declared_name(dag_id: str, stage: str, kind: str) -> str:
    """Return the name of the dataset or model to which the DAG belongs."""
    name, _, own_stage = dag_id.rpartition(".")
    if own_stage != stage or not name:
        raise Problem(
            404,
            "Page not found",
            f"{dag_id} is not the {stage} DAG of a {kind}, so it has no such page.",
            f"Only DAGs named <{kind}>.{stage} have it.",
        )
    return name


def _day(partition: str) -> Partition:
    try:
        return parse_any(partition)
    except ConfigError as error:
        raise Problem(400, "Invalid partition", str(error)) from error


def _show_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_page(request, error)


def _show_http_error(request: Request, error: Exception) -> Response:
    """Show an error of FastAPI or Airflow: no login, no permission, no such route."""
    assert isinstance(error, HTTPException)
    if _is_api(request):
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    title, message, advice = _HTTP_ERRORS.get(error.status_code, (str(error.detail), "", ""))
    return problem_page(request, Problem(error.status_code, title, message, advice), headers=error.headers)


def _show_error(request: Request, error: Exception) -> Response:
    status = next((status for error_class, status in _ERROR_STATUS.items() if isinstance(error, error_class)), 500)
    if _is_api(request):
        return JSONResponse({"detail": str(error)}, status)
    return problem_page(request, Problem(status, "This page could not be loaded", str(error)))


def _show_invalid_request(request: Request, error: Exception) -> Response:
    """Say what is wrong with a parameter or body, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    problems = [{"where": ".".join(map(str, each["loc"])) or "body", "message": str(each["msg"])} for each in error.errors()]
    if _is_api(request):
        return JSONResponse({"detail": problems}, 422)
    message = "; ".join(f"{each['where']}: {each['message']}" for each in problems)
    return problem_page(request, Problem(422, "This address is wrong", message, "Open the page again from the menu above."))


def _is_api(request: Request) -> bool:
    return request.url.path.removeprefix(request.scope.get("root_path", "")).startswith(("/api/", "/health"))


_HTTP_ERRORS = {
    401: ("You are not logged in", "This page shows a DAG's data, so it requires a login to Airflow.", ""),
    403: (
        "You do not have access to this DAG",
        "Your role does not include read access to this DAG or to the data that it recorded.",
        "Ask an administrator of your Airflow deployment for read access to it.",
    ),
    404: ("Page not found", "Evergreen has no page at this address.", "Open its pages from the menu above, or from the links on a task."),
}
_ERROR_STATUS: dict[type[EvergreenError], int] = {StaleActError: 409, DataError: 404, TransientError: 503, ConfigError: 500}
