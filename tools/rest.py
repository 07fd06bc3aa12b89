"""A small client for the parts of Airflow's public REST API that the tools, tests and benchmarks use."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from include.evergreen.foundation.errors import ConfigError, TransientError

TIMEOUT_SECONDS = 30
HEALTH_PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class AirflowApi:
    """A client for one API server. It logs in automatically; an embedded server makes everyone an administrator."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self._token = token

    def unhealthy_components(self) -> list[str]:
        """Return the components of Airflow that are not healthy yet."""
        try:
            health = self._request("GET", "/api/v2/monitor/health", authenticated=False)
        except TransientError:
            return ["api-server", *HEALTH_PARTS]
        return [part for part in HEALTH_PARTS if (health.get(part) or {}).get("status") != "healthy"]

    def get(self, path: str, **query: Any) -> Any:
        suffix = f"?{urllib.parse.urlencode(query, doseq=True)}" if query else ""
        return self._request("GET", f"/api/v2/{path}{suffix}")

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._request("POST", f"/api/v2/{path}", body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._request("PATCH", f"/api/v2/{path}", body)

    def delete(self, path: str) -> Any:
        return self._request("DELETE", f"/api/v2/{path}")

    def dag_ids(self) -> set[str]:
        return {dag["dag_id"] for dag in self._all_pages("dags", "dags", {})}

    def paused_dag_ids(self) -> set[str]:
        return {dag["dag_id"] for dag in self._all_pages("dags", "dags", {"paused": True})}

    def switched_dag_ids(self) -> set[str]:
        """Return the DAGs that were ever paused or unpaused."""
        return {event["dag_id"] for event in self._all_pages("eventLogs", "event_logs", {"event": "patch_dag"})}

    def import_errors(self) -> list[dict[str, Any]]:
        return list(self.get("importErrors")["import_errors"])

    def pause(self, dag_id: str, *, paused: bool) -> None:
        self.patch(f"dags/{dag_id}", {"is_paused": paused})

    def parse_again(self, dag_id: str) -> None:
        """Request that the DAG's file is parsed now. Airflow may lose the request, so repeat it until its effect is visible."""
        token = self.get(f"dags/{dag_id}/details")["file_token"]
        self._request("PUT", f"/api/v2/parseDagFile/{token}")

    def trigger(
        self, dag_id: str, *, partition_key: str | None = None, conf: dict[str, Any] | None = None, run_id: str | None = None
    ) -> str:
        """Start a manual run and return its run id."""
        body: dict[str, Any] = {"conf": conf or {}, "logical_date": None}
        if partition_key is not None:
            body["partition_key"] = partition_key
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.post(f"dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, first: str, last: str, *, reprocess: str = "none", max_active_runs: int = 8) -> int:
        """Start a backfill over partitions ``first`` to ``last`` (both included) and return its id.

        They are dates, or, of partitions shorter than a day, times such as ``2013-02-09T05:00:00Z``.
        """
        body = {
            "dag_id": dag_id,
            "from_date": first if "T" in first else f"{first}T00:00:00Z",
            "to_date": last if "T" in last else f"{last}T00:00:00Z",
            "reprocess_behavior": reprocess,
            "max_active_runs": max_active_runs,
            "dag_run_conf": {},
        }
        return int(self.post("backfills", body)["id"])

    def backfill_is_done(self, backfill_id: int) -> bool:
        return self.get(f"backfills/{backfill_id}")["completed_at"] is not None

    def runs(self, dag_id: str, **query: Any) -> list[dict[str, Any]]:
        return self._all_pages(f"dags/{dag_id}/dagRuns", "dag_runs", query)

    def task_instances(self, dag_id: str, run_id: str = "~", **query: Any) -> list[dict[str, Any]]:
        path = f"dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='~')}/taskInstances"
        return self._all_pages(path, "task_instances", query)

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[str]:
        """Return the lines of one try's log, oldest first."""
        run = urllib.parse.quote(run_id, safe="")
        path = f"dags/{dag_id}/dagRuns/{run}/taskInstances/{task_id}/logs/{try_number}"
        content = self.get(path, full_content="true")["content"]
        return [line if isinstance(line, str) else str(line.get("event", "")) for line in content]

    def _all_pages(self, path: str, key: str, query: dict[str, Any], page: int = 100) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            answer = self.get(path, limit=page, offset=len(entries), **query)
            entries.extend(answer[key])
            if len(entries) >= answer["total_entries"] or not answer[key]:
                return entries

    def login(self) -> str:
        """Return the token for all requests."""
        if self._token is None:
            self._token = str(self._request("GET", "/auth/token", authenticated=False)["access_token"])
        return self._token

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None, *, authenticated: bool = True) -> Any:
        headers = {"Content-Type": "application/json"}
        if authenticated:
            headers["Authorization"] = f"Bearer {self.login()}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:500]
            if error.code >= 500:
                raise TransientError(f"Airflow answered {error.code} to {method} {path}: {detail}") from error
            raise ConfigError(f"Airflow rejected {method} {path} with {error.code}: {detail}") from error
        except OSError as error:
            raise TransientError(f"Airflow at {self.url} does not respond ({error}). Is it still running?") from error
