"""A source renames a column, and the team follows: the champion's own features fail from then on, and block nobody."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from include.evergreen.cli.main import main
from include.evergreen.config import Catalog
from include.evergreen.data.ingestion import ingest
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY, Partition
from include.evergreen.gates.decision import latest_decision
from include.evergreen.operations.diagnose import why
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.missed import Missed, make_up_for
from include.evergreen.operations.rescoring import rescore
from include.evergreen.registry import champions
from include.evergreen.scoring.score import score
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.stage_status import find_stage
from tests.unit.lifecycle import AS_OF, FIRST, MODEL, day, include_with, landing, settle_cycled

BROKEN = day(21)  # the first day whose features read the renamed column
CAUSE = "weather 2013-01-20 (version 1) has no column 'wind_speed'"


@pytest.fixture
def renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Wind has another name in the files from the 20th on, in dataset.yaml and in features.py."""
    settle_cycled()
    include = include_with(tmp_path, monkeypatch)
    for file in (include / "datasets" / "weather" / "dataset.yaml", *include.glob("models/*/features.py")):
        file.write_text(file.read_text().replace("name: wind_speed,", "name: wind,").replace("column: wind_speed", "column: wind"))
        file.write_text(file.read_text().replace('column="wind_speed"', 'column="wind"'))
    catalog = Catalog()
    for name, partitions in {"weather": DAILY.between(day(20), day(21)), "outcomes": [day(20)], "schedules": [day(21), day(22)]}.items():
        for partition in partitions:
            if name == "weather":
                _rename(partition)
            ingest(catalog.dataset(name), partition, "live")
    return catalog


def test_who_declares_what_the_source_now_calls_the_column_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settle_cycled()
    declared = include_with(tmp_path, monkeypatch) / "datasets" / "weather" / "dataset.yaml"
    text = declared.read_text().replace("name: wind_speed,", "name: wind_speed, from: wind,")
    declared.write_text(text.replace("column: wind_speed", "column: wind"))
    assert main(["check"]) == 1
    assert "'wind' is what the source calls wind_speed; write wind_speed, its name here" in capsys.readouterr().out
    declared.write_text(text)
    _rename(day(20))
    for name, partition in {"weather": day(20), "outcomes": day(20), "schedules": BROKEN}.items():
        ingest(Catalog().dataset(name), partition, "live")
    assert score(Catalog(), Catalog().model(MODEL), BROKEN, "live").is_done


def _rename(partition: Partition) -> None:
    file = landing("weather", partition)
    file.write_text(file.read_text().replace("wind_speed", "wind", 1))


def test_it_is_said_what_the_champion_cannot_compute_until_the_next_candidate_is_judged_by_the_rest_and_takes_its_place(
    renamed: Catalog,
) -> None:
    model = renamed.model(MODEL)
    with pytest.raises(ConfigError, match="has no column 'wind_speed'"):
        score(renamed, model, BROKEN, "live")
    [alert] = open_alerts(MODEL)
    assert (alert.key, alert.severity) == (f"score/{MODEL}", "critical")
    assert CAUSE in alert.message
    record = find_stage(MODEL, "score", BROKEN)
    assert record is not None and record.status == "failed" and CAUSE in record.message
    lines = why(renamed, model, BROKEN)
    assert any(line.startswith("The score stage has failed, last at ") and CAUSE in line for line in lines)
    assert lines[-1].startswith("Next: mend what the score stage failed on, or, if the champion cannot be computed any more, train")

    assert score(renamed, model, AS_OF, "live").is_done  # it still can, of the days before
    assert [alert.key for alert in open_alerts(MODEL)] == [f"score/{MODEL}"]

    for partition in DAILY.between(FIRST, day(19)):
        _rename(partition)
        ingest(renamed.dataset("weather"), partition, "backfill")
    cycle = run_cycle(renamed, model, day(22), reason="the wind has another name", actor="a person")
    decision = latest_decision(MODEL)
    assert decision is not None and (decision.verdict, decision.champion_version) == ("blessed", 1)
    verdicts = {criterion["kind"]: criterion["verdict"] for criterion in decision.criteria}
    assert verdicts["champion"] == verdicts["comparison"] == "not_applicable"
    assert set(verdicts.values()) == {"passed", "not_applicable"}
    [told] = [criterion["message"] for criterion in decision.criteria if criterion["kind"] == "comparison"]
    assert told.startswith("there is no champion that can be computed (version 1: weather 2013-")
    assert cycle.promotion is not None and cycle.promotion.promoted and cycle.scored.is_done
    champion = champions.champion(MODEL)
    assert champion is not None and champion.version == 2
    assert open_alerts(MODEL) == []  # the gate's was raised, too, and is over with the promotion


def test_a_range_goes_on_after_a_day_that_cannot_be_scored_and_names_it_at_the_end(
    renamed: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = rescore(renamed, renamed.model(MODEL), AS_OF, day(22))
    scored = {done.partition: done.outcome.status for done in outcomes if done.stage == "score"}
    assert scored == {AS_OF: "unchanged", BROKEN: "failed", day(22): "waiting"}
    assert open_alerts(MODEL) == []  # days that were never scored are a backfill, which pages nobody

    assert main(["rescore", MODEL, "--from", str(BROKEN), "--to", str(DAILY.shift(AS_OF, 1)), "--stage", "score"]) == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"Failed: {BROKEN} score. `evergreen why {MODEL} {BROKEN}` says why")
    assert make_up_for(renamed, Missed(MODEL, "score", BROKEN, (), dt.datetime.now(dt.UTC), "")).status == "failed"
