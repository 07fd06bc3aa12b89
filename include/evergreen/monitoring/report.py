"""Drift reports: rendered when somebody opens one or a rule trips, and kept for the next reader.

The record of what was monitored names the report's file, whether it is drawn or not, by a digest of all that it shows. So a report
that is drawn later shows what was monitored then, or is refused; and none is drawn of rows that were erased since.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import gzip
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.errors import DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring.window import DRAW, REPORT_SUFFIX, SAMPLED_ROWS, Window, load_window
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state import storage
from include.evergreen.state.database import reading, writing
from include.evergreen.state.database.tables import reports
from include.evergreen.state.database.upsert import upsert

log = logging.getLogger(__name__)
LOCK = "drawing.lock"


class NotAsMonitoredError(DataError):
    """The report would not show what was monitored: its inputs have changed."""


def find_report(model: str, partition: Partition) -> str | None:
    """Where the report of the window that ``partition`` ends lies in the storage.

    :param model: its name, as in ``include/models``
    :param partition: the day that was monitored
    :returns: its path in the storage; None when it is not drawn, not kept any more, or damaged
    """
    record = find_monitored(model, partition)
    if record is None or not record.path or not storage.exists(record.path):
        return None
    try:
        read_report(record.path)
    except DataError as error:
        log.warning("%s", error)
        return None
    return str(record.path)


def find_monitored(model: str, partition: Partition) -> sa.Row[Any] | None:
    """The record that a partition was monitored.

    :param model: its name, as in ``include/models``
    :param partition: the day that was monitored
    :returns: the row of `reports`, with the ``input_digest`` of what was read and the ``path`` that its report has or will have; None when
        the partition was not monitored
    """
    with reading() as connection:
        return connection.execute(reports.select().where(reports.c.model == model, reports.c.partition == partition)).first()


def record_monitored(connection: sa.Connection, model: str, partition: Partition, *, path: str, input_digest: str) -> None:
    """Record that a partition was monitored, on what, and where its report will lie; an earlier record of it is replaced.

    :param connection: inside a transaction; nothing is committed here
    :param model: its name, as in ``include/models``
    :param partition: the day that was monitored
    :param path: the report's path in the storage, by `Window.report_path`; nothing need be there yet
    :param input_digest: of all that was read, by `Window.input_digest`
    """
    key = {"model": model, "partition": partition}
    upsert(connection, reports, key, {"path": path, "input_digest": input_digest, "recorded_at": clock.now()})


def read_report(path: str) -> bytes:
    """Read a report. Passes on `DataError` when it is gone.

    :param path: where it lies in the storage, as `ensure_report` or `find_report` says
    :returns: the page itself, in HTML
    :raises DataError: when the file is damaged
    """
    content = storage.read_bytes(path)
    if not path.endswith(REPORT_SUFFIX):
        return content  # earlier releases kept it as it is
    try:
        if page := gzip.decompress(content):
            return page
        told = "it is empty"
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        told = str(error)
    _, model, day, *_ = path.split("/")
    raise DataError(f"The drift report {path} is damaged: {told}. `evergreen report {model} {day}` draws it again.")


def ensure_report(catalog: Catalog, model: ModelConfig, partition: Partition) -> str:
    """Find the report of a window, or draw it now; on one machine, one at a time.

    Passes on `DataError` when the partition was not monitored, `NotAsMonitoredError` when what was monitored is there no more, and
    `TransientError` while an erasure is unfinished.

    :param catalog: what is declared now
    :param model: the model as it is declared now; its features and target are those of the version that scored
    :param partition: the day that was monitored, which ends the window
    :returns: the report's path in the storage, for `read_report`
    """
    if path := find_report(model.name, partition):
        return path
    with _one_at_a_time():
        return find_report(model.name, partition) or _draw(catalog, model, partition)


def _draw(catalog: Catalog, model: ModelConfig, partition: Partition) -> str:
    from include.evergreen.monitoring.drawing import draw

    began = clock.now()
    record, scored = find_monitored(model.name, partition), find_predictions(model.name, partition)
    if record is None:
        raise DataError(
            f"{model.name} was not monitored for {partition}, so there is no drift to draw. "
            f"`evergreen why {model.name} {partition}` says what is missing."
        )
    if scored is None:
        raise NotAsMonitoredError(_changed(record, "the predictions were removed"))
    window = load_window(catalog, model, scored)
    reference = window.reference()
    path = window.report_path(frame_digest(reference))
    _refuse_other_data(window, record, path)
    of = f" (a draw of {SAMPLED_ROWS:,} of them in the pictures)" if window.rows > SAMPLED_ROWS else ""
    heading = f"{model.name}: {window.rows} rows up to {partition}{of}, against what version {scored.version} was trained on"
    shown = reference.sample(min(len(reference), SAMPLED_ROWS), random_state=DRAW).sort_index()
    page = draw(window.model, shown, window.sample(window.days)[0], heading, window.verdict())
    _keep(window, path, gzip.compress(page.encode(), mtime=0), began)
    log.info("%s %s: its drift report is %s", model.name, partition, path)
    return path


def _refuse_other_data(window: Window, record: sa.Row[Any], path: str) -> None:
    if record.path == path:
        return
    has_same_input = record.input_digest == window.input_digest()
    if has_same_input and not record.path.endswith(REPORT_SUFFIX):
        return  # monitored by an earlier release, which did not name what the report shows
    if has_same_input:
        raise NotAsMonitoredError(
            f"The drift report of {record.model} for {record.partition} cannot be drawn: rows of the sample that version "
            f"{window.version.version} is compared with were erased since. The figures of that day stay."
        )
    raise NotAsMonitoredError(_changed(record, "the window's predictions, or `monitor` in model.yaml, have changed"))


def _changed(record: sa.Row[Any], why: str) -> str:
    model, day = record.model, record.partition
    return (
        f"The drift report of {model} for {day} cannot be drawn as it was monitored on {record.recorded_at:%Y-%m-%d %H:%M} UTC: "
        f"{why} since. `evergreen rescore {model} --from {day} --to {day}` scores and monitors that day as it stands now; "
        f"then its report can be drawn."
    )


def _keep(window: Window, path: str, content: bytes, began: dt.datetime) -> None:
    """The file appears within the transaction: an erasure that begins has either stopped it, or finds it among the files that go."""
    this = (reports.c.model == window.model.name) & (reports.c.partition == window.scored.partition)
    with storage.scratch_file() as scratch:
        with storage.refusals(str(scratch)):
            scratch.write_bytes(content)
        with writing() as connection:
            refuse_stale_reads(connection, [model_input.dataset for model_input in window.model.inputs], began, is_derived=True)
            storage.keep_file(scratch, path)
            connection.execute(reports.update().where(this, ~reports.c.path.endswith(REPORT_SUFFIX)).values(path=path))


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Drawing takes a core and some 400 MB; who waited for the same page finds it drawn. The lock ends with its process."""
    home = Settings.from_environment().home
    with storage.refusals(str(home / LOCK)):
        home.mkdir(parents=True, exist_ok=True)
        file = (home / LOCK).open("ab")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
