from __future__ import annotations

import importlib
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error

from include.evergreen import monitoring
from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.metrics import OF_SUPPLY, RELATIVE_VOLUME, metrics_of, observation_names
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.features.columns import keys_of
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.span import Span
from include.evergreen.gates.decision import all_decisions
from include.evergreen.monitoring import find_monitored, find_report, list_observations
from include.evergreen.monitoring.kept_profiles import PROFILE_SUFFIX, TARGET_SUFFIX
from include.evergreen.monitoring.observations import list_superseded
from include.evergreen.monitoring.window import load_window
from include.evergreen.registry import champions
from include.evergreen.registry.importances import keep_importances
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import model_versions, observations, reports
from include.evergreen.state.stage_status import Outcome, find_stage
from tests.unit.flights import change_landing, january, republish, rows_of, shifted

DAY = january(20)
MODULE = importlib.import_module("include.evergreen.monitoring.monitor")  # the package's attribute is the function
KEYS = ["carrier", "flight", "origin"]


def test_a_day_that_was_not_scored_waits_for_its_predictions(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    assert _monitor(catalog, air_time).message == "waiting for predictions of air_time/2013-01-20"
    record = find_stage("air_time", "monitor", DAY)
    assert record is not None
    assert record.status == "waiting"
    assert rows_of(observations) == []


@pytest.mark.parametrize("name", ["air_time", "flight_delay"])
def test_every_figure_that_a_rule_may_watch_is_observed(trained: Path, catalog: Catalog, name: str) -> None:
    model = catalog.model(name)
    _score_and_monitor(catalog, model)
    features = {f"drift.{feature.name}" for feature in model.features}
    performance = {f"performance.{metric}" for metric in metrics_of(model)}
    estimated = {f"estimated.{metric}" for metric, each in metrics_of(model).items() if each.is_estimated}
    general = {"drift.share", "prediction_drift.score", "concept_drift.score", "target_drift.score", *OF_SUPPLY} - {
        RELATIVE_VOLUME
    }  # no day before it was scored
    observed = set(_figures(name))
    assert observed == features | performance | estimated | general
    assert observed | {RELATIVE_VOLUME, "drift.multivariate"} == set(observation_names(model)), "a rule may name each; one needs more days"
    assert {(each.version, each.origin) for each in list_observations(name)} == {(1, "live")}


def test_performance_is_that_of_the_predictions_against_the_truth(monitored: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    predictions = find_predictions("air_time", DAY)
    labels = current_partition("outcomes", DAY)
    assert predictions is not None
    assert labels is not None
    frame = predictions.frame()
    joined = keys_of(frame, KEYS).join(frame["prediction"]).merge(read_partition(labels), on=KEYS).dropna(subset=["air_time"])
    found = next(each for each in list_observations("air_time", "performance.mae"))
    assert found.value == pytest.approx(mean_absolute_error(joined["air_time"], joined["prediction"]))
    assert found.rows == len(joined) < predictions.rows


def test_performance_appears_when_the_truth_arrives(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    day = january(22)
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    outcome = _score_and_monitor(catalog, air_time, day)
    assert outcome.message.endswith("; the labels of outcomes/2013-01-22 have not arrived yet")
    before = _figures("air_time", day)
    assert not [name for name in before if name.startswith("performance")]
    ingestion.ingest(catalog.dataset("outcomes"), day, "live")
    _monitor(catalog, air_time, day)
    after = _figures("air_time", day)
    assert set(after) - set(before) == {
        "concept_drift.score",
        "target_drift.score",
        *(f"performance.{metric}" for metric in metrics_of(air_time)),
    }
    assert {name: after[name] for name in before} == before
    assert len(rows_of(observations)) == len(after)
    assert list_superseded("air_time") == [], "labels that come in time revise nothing"


def test_what_did_not_change_is_not_monitored_again(monitored: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    before = rows_of(observations), rows_of(reports)
    outcome = _monitor(catalog, air_time)
    assert (outcome.status, outcome.message) == ("unchanged", "nothing has changed since it was last monitored")
    assert (rows_of(observations), rows_of(reports)) == before


def test_a_corrected_truth_revises_the_figures_keeps_the_earlier_and_doubles_none(
    monitored: Path, catalog: Catalog, air_time: ModelConfig
) -> None:
    before, count = _figures("air_time"), len(rows_of(observations))
    republish("outcomes", DAY, shifted("air_time", 60))
    assert _monitor(catalog, air_time).status == "done"
    assert _figures("air_time")["performance.mae"] > before["performance.mae"] + 30
    assert _figures("air_time")["drift.share"] == before["drift.share"]
    assert len(rows_of(observations)) == count
    earlier = {each.metric: each.value for each in list_superseded("air_time")}
    assert earlier.keys() == {"concept_drift.score", "target_drift.score", *(f"performance.{metric}" for metric in metrics_of(air_time))}
    assert earlier.items() <= before.items()


def test_another_champions_predictions_replace_the_figures(monitored: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    second = champions.register("air_time", all_decisions("air_time")[0].run_key)
    champions.promote("air_time", second.version, actor="a person", reason="newer")
    assert _score_and_monitor(catalog, air_time).status == "done"
    assert {each.version for each in list_observations("air_time")} == {2}


def test_the_quarantined_share_is_that_of_the_days_rows(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    day = january(22)
    change_landing("schedules", day, lambda rows: rows.assign(distance=["1", *rows["distance"][1:]]))
    source_rows = ingestion.ingest(catalog.dataset("schedules"), day, "live")[0].source_rows
    _score_and_monitor(catalog, air_time, day)
    assert _figures("air_time", day)["quality.quarantined_share"] == 1 / source_rows


def test_it_follows_when_nothing_but_the_quarantine_changes(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    day = january(22)
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    _score_and_monitor(catalog, air_time, day)
    change_landing("schedules", day, lambda rows: pd.concat([rows, rows.head(1).assign(flight="9999", distance="1")]))
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    assert scoring.score(catalog, air_time, day, "live").status == "unchanged"
    assert _monitor(catalog, air_time, day).status == "done"
    assert _figures("air_time", day)["quality.quarantined_share"] > 0


def test_other_thresholds_judge_the_same_drift_anew(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    """A lower one may let a feature count whose drift is sure; it makes none of what chance explains."""
    day = january(22)
    change_landing("schedules", day, lambda rows: rows.assign(distance="4000"))
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    shares = {}
    scoring.score(catalog, air_time, day, "live")
    for threshold in (0.1, 1000.0):
        limits = air_time.monitor.model_copy(update={"numeric_threshold": threshold, "categorical_threshold": 1.0})
        _monitor(catalog, air_time.model_copy(update={"monitor": limits}), day)
        shares[threshold] = _figures("air_time", day)["drift.share"]
    assert shares == {0.1: 2 / len(air_time.features), 1000.0: 0.0}


def test_a_window_covers_its_days_and_those_of_one_champion_alone(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    for day in (january(18), january(19), DAY):
        scoring.score(catalog, air_time, day, "live")
    second = champions.register("air_time", all_decisions("air_time")[0].run_key)
    champions.promote("air_time", second.version, actor="a person", reason="newer")
    for day in (january(19), DAY):
        scoring.score(catalog, air_time, day, "live")
    limits = air_time.monitor.model_copy(update={"window": Span(3, "day")})
    _monitor(catalog, air_time.model_copy(update={"monitor": limits}))
    drift = next(each for each in list_observations("air_time", "drift.share"))
    performance = next(each for each in list_observations("air_time", "performance.mae"))
    days = [current_partition("schedules", day) for day in (january(19), DAY)]
    assert drift.rows == sum(each.rows for each in days if each)
    assert performance.rows <= (days[1].rows if days[1] else 0)


def test_performance_over_several_days_is_that_of_their_rows_together_and_follows_any_of_their_labels(
    trained: Path, catalog: Catalog, air_time: ModelConfig
) -> None:
    model = air_time.model_copy(update={"monitor": air_time.monitor.model_copy(update={"performance_window": Span(3, "day")})})
    for day in (january(18), january(19), DAY):
        _score_and_monitor(catalog, model, day)
    errors = []
    for day in (january(18), january(19), DAY):
        predictions, labels = find_predictions("air_time", day), current_partition("outcomes", day)
        assert predictions is not None and labels is not None
        frame = predictions.frame()
        joined = keys_of(frame, KEYS).join(frame["prediction"]).merge(read_partition(labels), on=KEYS).dropna(subset=["air_time"])
        errors.append((joined["air_time"] - joined["prediction"]).abs())
    found = {each.partition: each for each in list_observations("air_time", "performance.mae")}
    assert found[DAY].value == pytest.approx(pd.concat(errors).mean())
    assert found[DAY].rows == sum(map(len, errors))
    assert found[january(18)].value == pytest.approx(errors[0].mean())
    drift = next(each for each in list_observations("air_time", "drift.share", first=DAY))
    assert drift.rows == len(find_predictions("air_time", DAY).frame()), "drift has a window of its own"  # type: ignore[union-attr]
    republish("outcomes", january(18), shifted("air_time", 60))
    _monitor(catalog, model, january(18))
    after = {each.partition: each for each in list_observations("air_time", "performance.mae")}
    assert all(after[day].value > found[day].value + 5 for day in found), "each day whose window the corrected labels are in"
    assert _monitor(catalog, model).status == "unchanged"


def test_another_window_of_performance_leaves_the_report_and_the_figures_of_one_day_as_they_are(
    monitored: Path, catalog: Catalog, air_time: ModelConfig
) -> None:
    """An update of ours monitors nothing again, and what was drawn stays."""
    before = rows_of(reports)
    scored = find_predictions("air_time", DAY)
    assert scored is not None
    wider = air_time.model_copy(update={"monitor": air_time.monitor.model_copy(update={"performance_window": Span(5, "day")})})
    one, five = (load_window(catalog, model, scored) for model in (air_time, wider))
    assert one.report_path(frame_digest(one.reference())) == five.report_path(frame_digest(five.reference())) == before[0].path
    assert _monitor(catalog, wider).status == "unchanged", "no other day was scored"


def test_labels_that_moved_are_drift_of_the_target_and_nothing_else(monitored: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    before = _figures("air_time")
    republish("outcomes", DAY, shifted("air_time", 400))
    outcome = _monitor(catalog, air_time)
    after = _figures("air_time")
    assert before["target_drift.score"] < 0.5 < 2 < after["target_drift.score"]
    assert after["drift.share"] == before["drift.share"]
    assert "the target drifted: " in outcome.message
    record = find_stage("air_time", "monitor", DAY)
    assert record is not None
    assert record.detail["drift"]["target"]["state"] == "drifted"
    found = next(each for each in list_observations("air_time", "target_drift.score"))
    assert found.rows == next(each for each in list_observations("air_time", "performance.mae")).rows, "the rows whose label is known"


def test_drifted_columns_are_ranked_by_their_importance_as_the_model_card_has_it(
    trained: Path, catalog: Catalog, air_time: ModelConfig
) -> None:
    day = january(22)
    change_landing("schedules", day, lambda rows: rows.assign(distance="4000"))
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    scoring.score(catalog, air_time, day, "live")
    scored = find_predictions("air_time", day)
    assert scored is not None
    by_effect = load_window(catalog, air_time, scored).verdict()
    assert by_effect.ranking == "effect"
    path = "cards/air_time/1-a.html"
    with writing() as connection:
        connection.execute(model_versions.update().where(model_versions.c.model == "air_time").values(card_path=path))
    keep_importances(path, {feature.name: 5.0 if feature.name == "distance" else -0.1 for feature in air_time.features})
    by_importance = load_window(catalog, air_time, scored).verdict()
    assert by_importance.ranking == "importance times effect"
    assert (by_importance.importances["prediction"], by_importance.importances["distance"]) == (1, 1)
    assert {value for name, value in by_importance.importances.items() if name not in ("prediction", "distance")} == {0}
    assert _monitor(catalog, air_time, day).message.count("ranked by importance times effect") == 1
    storage.write_bytes(f"{path}.importances.json", b"{damaged")
    assert load_window(catalog, air_time, scored).verdict().ranking == "effect"


def test_monitoring_keeps_the_profiles_of_the_day_and_of_its_reference(monitored: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    scored = find_predictions("air_time", DAY)
    assert scored is not None
    reference = champions.version_number("air_time", 1).reference_path
    kept = [file for folder in ("predictions", "references") for file in storage.files(folder) if file.path.endswith(PROFILE_SUFFIX)]
    assert [file.path for file in kept] == [
        f"{rows}{ending}" for rows in (scored.path, reference) for ending in (PROFILE_SUFFIX, TARGET_SUFFIX)
    ]
    assert kept[0].size < 30_000


def test_figures_that_are_refused_leave_no_profile(
    trained: Path, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that began meanwhile would not find what is written after it."""
    scoring.score(catalog, air_time, DAY, "live")
    monkeypatch.setattr(MODULE, "refuse_stale_reads", _killed)
    with pytest.raises(KeyboardInterrupt):
        _monitor(catalog, air_time)
    assert not [file for file in storage.files("") if file.path.endswith(PROFILE_SUFFIX)]


def test_monitoring_draws_no_report(monitored: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    assert find_report("air_time", DAY) is None
    assert list(storage.files("reports")) == []


def test_a_monitoring_that_was_killed_before_it_was_recorded_is_done_again_and_doubles_nothing(
    trained: Path, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.score(catalog, air_time, DAY, "live")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MODULE, "record_monitored", _killed)
        _monitor(catalog, air_time)
    assert find_monitored("air_time", DAY) is None
    assert rows_of(observations) == []
    assert _monitor(catalog, air_time).status == "done"
    observed = rows_of(observations)
    assert len(observed) == len({row.metric for row in observed}) > 0


def test_one_that_was_killed_before_its_stage_was_recorded_records_it_when_repeated(
    trained: Path, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.score(catalog, air_time, DAY, "live")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MODULE, "record_stage", _killed)
        _monitor(catalog, air_time)
    assert _monitor(catalog, air_time).status == "unchanged"
    record = find_stage("air_time", "monitor", DAY)
    assert record is not None
    assert record.status == "done"


def test_a_day_without_rows_is_monitored(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    republish("schedules", DAY, lambda frame: frame.head(0))
    outcome = _score_and_monitor(catalog, air_time)
    unsaid = "nothing is said on drift: not enough rows (0); performance is not estimated: 0 rows were scored; 30 are needed"
    assert (outcome.status, outcome.message) == ("done", unsaid)
    assert not [name for name in _figures("air_time") if name.startswith(("performance", "estimated", "drift", "prediction_drift"))]


def test_the_stage_says_what_drifted_and_how_sure_that_is(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    day = january(22)
    change_landing("schedules", day, lambda rows: rows.assign(distance="4000"))
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    outcome = _score_and_monitor(catalog, air_time, day)
    record = find_stage("air_time", "monitor", day)
    assert record is not None
    drift = record.detail["drift"]
    assert drift["distance"]["state"] == "drifted"
    assert drift["distance"]["p_value"] < 0.001
    assert drift["wind_speed_1d"]["state"] == "alike"
    assert "drifted: " in outcome.message
    assert "distance" in outcome.message
    assert _figures("air_time", day)["drift.distance"] == drift["distance"]["effect"]


def test_observations_carry_the_origin_that_they_are_given(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    scoring.score(catalog, air_time, DAY, "live")
    monitoring.monitor(catalog, air_time, DAY, "backfill")
    assert {each.origin for each in list_observations("air_time")} == {"backfill"}


def test_labels_that_are_corrected_while_a_day_is_observed_are_in_what_is_recorded(
    trained: Path, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a second monitoring, side by side, that is quicker: the slower one does not put the old figures in place of its own."""
    scoring.score(catalog, air_time, DAY, "live")
    measured = MODULE.drift_figures

    def corrected_meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(MODULE, "drift_figures", measured)
        republish("outcomes", DAY, shifted("air_time", 50.0))
        _monitor(catalog, air_time)
        quicker.update(_figures("air_time"))
        return measured(*arguments)

    quicker: dict[str, float] = {}
    monkeypatch.setattr(MODULE, "drift_figures", corrected_meanwhile)
    assert _monitor(catalog, air_time).status == "unchanged"
    assert _figures("air_time") == quicker
    assert _monitor(catalog, air_time).status == "unchanged"


def _monitor(catalog: Catalog, model: ModelConfig, day: Partition = DAY) -> Outcome:
    return monitoring.monitor(catalog, model, day, "live")


def _score_and_monitor(catalog: Catalog, model: ModelConfig, day: Partition = DAY) -> Outcome:
    assert scoring.score(catalog, model, day, "live").is_done
    return _monitor(catalog, model, day)


def _figures(model: str, day: Partition = DAY) -> dict[str, float]:
    return {each.metric: each.value for each in list_observations(model, first=day, last=day)}


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
