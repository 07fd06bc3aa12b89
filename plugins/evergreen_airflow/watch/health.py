"""``GET /evergreen/health``: whether somebody watches, for a watchdog outside."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import EvergreenError

LATEST_SECONDS = 60.0
health_routes = APIRouter()


@health_routes.get("/health", responses={503: {"description": "Nobody watches, or our database does not answer; says which."}})
def health() -> JSONResponse:
    """Say who watches and when it was last heard of. Whoever is logged in may ask; a watchdog needs a token without any right.

    :returns: 200 while a watcher renewed its lease within `LATEST_SECONDS`, else 503
    """
    from evergreen_airflow.watch.watcher import LEASE
    from include.evergreen.state.leases import read_lease

    try:
        lease = read_lease(LEASE)
    except EvergreenError:
        return JSONResponse({"status": "unhealthy", "reason": "our database does not answer", "watcher": None}, status_code=503)
    if lease is None:
        return JSONResponse({"status": "unhealthy", "reason": "no watcher ever began", "watcher": None}, status_code=503)
    silence = (clock.now() - lease.renewed_at).total_seconds()
    times = {"since": lease.acquired_at.isoformat(), "last_breath": lease.renewed_at.isoformat()}
    watcher = {"holder": lease.holder, "term": lease.term, **times,
               "seconds_ago": round(silence, 1)}  # fmt: skip
    if silence > LATEST_SECONDS:
        reason = f"the watcher has not breathed for {silence:.0f} s"
        return JSONResponse({"status": "unhealthy", "reason": reason, "watcher": watcher}, status_code=503)
    return JSONResponse({"status": "healthy", "reason": "", "watcher": watcher})
