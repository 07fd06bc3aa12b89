"""Drift reports are rendered on demand, once, of what was monitored, and without erased rows."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data import ingestion
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.gates.decision import all_decisions
from include.evergreen.monitoring import NotAsMonitoredError, drawing, ensure_report, find_monitored, find_report, monitor, read_report
from include.evergreen.operations.erasure.record import begin
from include.evergreen.registry import champions
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import reports
from tests.unit.flights import january, republish, shifted

pytestmark = [pytest.mark.usefixtures("monitored"), pytest.mark.sqlite_only]
MODEL = "air_time"
DAY = january(20)


class Painter:
    """In Evidently's place: quick, and it counts."""

    def __init__(self) -> None:
        self.headings: list[str] = []
        self.meanwhile = lambda: None

    def draw(self, _model: object, _reference: object, _current: object, heading: str, _verdict: object) -> str:
        self.headings.append(heading)
        self.meanwhile()
        return f"<html>{heading}</html>"


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Painter:
    painter = Painter()
    monkeypatch.setattr(drawing, "draw", painter.draw)
    return painter


def test_evidently_draws_a_page_that_says_whose_it_is_and_it_is_kept_small(catalog: Catalog, air_time: ModelConfig) -> None:
    path = ensure_report(catalog, air_time, DAY)
    assert path == find_report(MODEL, DAY)
    page = read_report(path).decode()
    scored = find_predictions(MODEL, DAY)
    assert scored is not None
    assert f"<title>air_time: {scored.rows} rows up to 2013-01-20, against what version 1 was trained on</title>" in page
    assert "Wasserstein distance" in page
    assert '<table id="verdict"' in page
    assert len(storage.read_bytes(path)) < len(page) / 2


def test_a_second_opening_finds_it_drawn(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    assert ensure_report(catalog, air_time, DAY) == ensure_report(catalog, air_time, DAY)
    assert len(painter.headings) == 1


def test_two_who_open_it_at_once_have_it_drawn_once(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    found: list[str] = []
    other = threading.Thread(target=lambda: found.append(ensure_report(catalog, air_time, DAY)))
    painter.meanwhile = other.start  # begun before the first has drawn, so that it finds nothing yet
    found.append(ensure_report(catalog, air_time, DAY))
    other.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert len(painter.headings) == 1


def test_one_that_dies_leaves_no_report_and_the_next_draws_it(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    painter.meanwhile = killed
    with pytest.raises(KeyboardInterrupt):
        ensure_report(catalog, air_time, DAY)
    assert find_report(MODEL, DAY) is None
    assert list(storage.files("reports")) == []
    painter.meanwhile = lambda: None
    assert ensure_report(catalog, air_time, DAY) == find_report(MODEL, DAY)


def test_a_lost_file_is_drawn_again_and_nothing_is_monitored_again_for_it(
    catalog: Catalog, air_time: ModelConfig, painter: Painter
) -> None:
    path = ensure_report(catalog, air_time, DAY)
    storage.remove(path)
    assert find_report(MODEL, DAY) is None
    assert monitor(catalog, air_time, DAY, "live").status == "unchanged"
    assert ensure_report(catalog, air_time, DAY) == path
    assert len(painter.headings) == 2


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "never compressed": lambda whole: b"<html>",
    "a bit that tipped": lambda whole: whole[:12] + bytes([whole[12] ^ 0xFF]) + whole[13:],
    "another checksum": lambda whole: whole[:-8] + b"\0" * 8,
    "more than a page": lambda whole: whole + b"more",
}


def test_a_damaged_file_is_told_and_drawn_again(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    path = ensure_report(catalog, air_time, DAY)
    whole = storage.read_bytes(path)
    for damage, damaged in DAMAGES.items():
        storage.write_bytes(path, damaged(whole))
        with pytest.raises(DataError, match=rf"{path} is damaged: .*`evergreen report air_time 2013-01-20` draws it again"):
            read_report(path)
        assert find_report(MODEL, DAY) is None, damage
        assert ensure_report(catalog, air_time, DAY) == path
        assert storage.read_bytes(path) == whole, damage


def test_what_was_not_monitored_has_none(catalog: Catalog, air_time: ModelConfig) -> None:
    with pytest.raises(DataError, match="air_time was not monitored for 2013-01-19, .* why air_time 2013-01-19"):
        ensure_report(catalog, air_time, january(19))


# --- of what was monitored ------------------------------------------------------------------------------------------


def test_an_older_window_is_drawn_against_the_version_that_scored_it(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    second = champions.register(MODEL, all_decisions(MODEL)[0].run_key)
    champions.promote(MODEL, second.version, actor="a person", reason="newer")
    ensure_report(catalog, air_time, DAY)
    assert painter.headings[0].endswith("against what version 1 was trained on")


def test_the_truth_changes_nothing_of_what_a_report_shows(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    """The evidence of a firing outlives the arrival of the truth."""
    day = january(22)
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    assert scoring.score(catalog, air_time, day, "live").is_done
    assert monitor(catalog, air_time, day, "live").status == "done"
    drawn = ensure_report(catalog, air_time, day)
    ingestion.ingest(catalog.dataset("outcomes"), day, "live")
    assert monitor(catalog, air_time, day, "live").status == "done"
    assert find_report(MODEL, day) == drawn


def test_of_corrected_predictions_none_is_drawn_before_monitoring(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    republish("schedules", DAY, shifted("distance", 100))
    assert scoring.score(catalog, air_time, DAY, "live").status == "done"
    with pytest.raises(NotAsMonitoredError, match=r"as it was monitored on .* have changed since\. .* rescore air_time --from 2013-01-20"):
        ensure_report(catalog, air_time, DAY)
    assert list(storage.files("reports")) == []
    assert monitor(catalog, air_time, DAY, "live").status == "done"
    assert ensure_report(catalog, air_time, DAY) == find_report(MODEL, DAY)


def test_by_other_limits_none_is_drawn(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    limits = air_time.monitor.model_copy(update={"numeric_threshold": 1e-9})
    with pytest.raises(NotAsMonitoredError, match="`monitor` in model.yaml"):
        ensure_report(catalog, air_time.model_copy(update={"monitor": limits}), DAY)


def test_against_another_sample_none_is_drawn(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    serving = champions.champion(MODEL)
    assert serving is not None
    storage.write_frame(serving.reference_path, storage.read_frame(serving.reference_path).head(-1))
    with pytest.raises(NotAsMonitoredError, match="sample that version 1 is compared with were erased since. The figures of that day stay"):
        ensure_report(catalog, air_time, DAY)
    assert painter.headings == []


def test_a_file_that_an_earlier_release_drew_is_read_as_it_is_and_drawn_anew_when_it_is_gone(
    catalog: Catalog, air_time: ModelConfig, painter: Painter
) -> None:
    named = find_monitored(MODEL, DAY)
    assert named is not None
    _name_report("reports/air_time/2013-01-20/0123.html")
    storage.write_bytes("reports/air_time/2013-01-20/0123.html", b"<html>of old</html>")
    assert read_report(ensure_report(catalog, air_time, DAY)) == b"<html>of old</html>"
    for path in ("reports/air_time/2013-01-20/0123.html", ""):  # lost, or removed by retention
        storage.remove("reports/air_time/2013-01-20/0123.html")
        _name_report(path)
        assert ensure_report(catalog, air_time, DAY) == named.path == find_report(MODEL, DAY)
        storage.remove(named.path)


# --- and of nobody who was erased -----------------------------------------------------------------------------------


def test_one_that_was_being_drawn_when_an_erasure_began_is_not_kept(catalog: Catalog, air_time: ModelConfig, painter: Painter) -> None:
    person = {"dataset": "schedules", "columns": "tailnum", "subject_hash": "0" * 64}
    painter.meanwhile = lambda: begin(person, actor="a person", reason="request 17")
    with pytest.raises(TransientError, match="schedules: an erasure by tailnum, .* is not finished"):
        ensure_report(catalog, air_time, DAY)
    assert list(storage.files("reports")) == []


def _name_report(path: str) -> None:
    with writing() as connection:
        connection.execute(sa.update(reports).values(path=path))
