from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.data import ingestion
from include.evergreen.features import feature_frame
from include.evergreen.features.columns import keys_of
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.gates.decision import all_decisions
from include.evergreen.registry import champions
from include.evergreen.scoring import score as scoring
from include.evergreen.scoring.predictions import PredictionSet, all_scorings, find_predictions, list_predictions
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import prediction_sets, recipes
from include.evergreen.state.stage_status import Outcome, find_stage
from include.evergreen.training.recipes import Recipe
from tests.unit.flights import january, republish, rows_of, shifted, with_other_features

DAY = january(20)
YESTERDAY = january(19)


@pytest.fixture
def second(trained: Path) -> champions.RegisteredVersion:
    """The challenger of `air_time`, as of 19 January."""
    return champions.register("air_time", all_decisions("air_time")[0].run_key)


@pytest.mark.parametrize("name", ["air_time", "flight_delay"])
def test_every_row_of_the_day_is_scored_by_the_champion(trained: Path, catalog: Catalog, name: str) -> None:
    model = catalog.model(name)
    outcome = _score(catalog, model)
    predictions = _predictions(name)
    rows, features = feature_frame(catalog, model, DAY, PartitionCache(DAY, model=model, is_scored=True))
    assert (outcome.status, outcome.message) == ("done", f"{len(rows)} rows scored by version 1")
    assert (predictions.version, predictions.challenger_version, predictions.rows) == (1, 0, len(rows))
    frame = predictions.frame()
    assert frame["prediction"].notna().all()
    assert keys_of(frame, ["carrier", "flight", "origin"]).equals(rows[["carrier", "flight", "origin"]])
    assert frame[features.columns].equals(features)
    assert _stage(name) == ("done", outcome.message)


def test_a_champion_keeps_computing_the_features_that_it_was_trained_on(
    trained: Path, catalog: Catalog, air_time: ModelConfig, tmp_path: Path
) -> None:
    _score(catalog, air_time)
    before = _predictions("air_time").frame()
    changed = with_other_features(catalog, tmp_path / "include")
    assert _score(changed, changed.model("air_time")).status == "unchanged"
    shutil.rmtree(Settings.from_environment().home / "storage" / "predictions")
    assert _score(changed, changed.model("air_time")).status == "done"
    pd.testing.assert_frame_equal(_predictions("air_time").frame(), before)


def test_a_challenger_with_other_features_scores_in_the_shadow_with_its_own(changed: Catalog) -> None:
    _score(changed, changed.model("air_time"))
    frame = _predictions("air_time").frame()
    assert list(frame.columns).count("distance") == 1  # what the champion was asked
    assert "kilometres" not in frame.columns
    assert (frame["challenger_prediction"] - frame["prediction"]).abs().between(1e-9, 60).all()


def test_a_recipe_that_was_changed_in_the_database_is_not_run(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    with writing() as connection:
        text = connection.execute(sa.select(recipes.c.document).limit(1)).scalar_one()
        connection.execute(recipes.update().values(document=text.replace("import pandas", "import os, pandas")))
    with pytest.raises(DataError, match="recipe .* was changed in the database.*Nothing of it is run"):
        _score(catalog, air_time)
    assert rows_of(prediction_sets) == []


def test_a_version_of_a_release_that_kept_no_recipe_is_scored_as_declared_now_or_refused(
    trained: Path, catalog: Catalog, air_time: ModelConfig, tmp_path: Path
) -> None:
    with writing() as connection:
        connection.execute(recipes.delete())
    assert _score(catalog, air_time).status == "done"
    changed = with_other_features(catalog, tmp_path / "include")
    with pytest.raises(ConfigError, match="kept no recipe.*Train and promote a version with the new ones"):
        _score(changed, changed.model("air_time"))


def test_a_probability_is_one_and_minutes_are_minutes(trained: Path, catalog: Catalog) -> None:
    for name, least, most in (("flight_delay", 0, 1), ("air_time", 10, 800)):
        _score(catalog, catalog.model(name))
        assert _predictions(name).frame()["prediction"].between(least, most).all()


def test_a_day_whose_inputs_are_not_there_waits_for_them_and_says_for_which(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    outcome = _score(catalog, air_time, january(23))
    assert outcome.status == "waiting"
    assert outcome.message == "waiting for schedules/2013-01-23, weather/2013-01-22, outcomes/2013-01-22"
    record = find_stage("air_time", "score", january(23))
    assert record is not None
    assert (record.status, record.detail["waiting_for"]) == ("waiting", outcome.facts["waiting_for"])
    assert rows_of(prediction_sets) == []


def test_it_is_scored_when_the_last_of_them_comes(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    day = january(22)
    assert _score(catalog, air_time, day).facts["waiting_for"] == ["schedules/2013-01-22"]
    ingestion.ingest(catalog.dataset("schedules"), day, "live")
    assert _score(catalog, air_time, day).status == "done"
    record = find_stage("air_time", "score", day)
    assert record is not None
    assert record.status == "done"


def test_without_a_champion_a_day_is_skipped_and_that_is_recorded(flights: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    outcome = _score(catalog, air_time)
    assert outcome.status == "skipped"
    assert not outcome.is_done
    words = "no champion with an as_of up to 2013-01-20: train and promote one first"
    assert _stage("air_time") == ("skipped", words)
    assert rows_of(prediction_sets) == []


def test_a_day_is_never_scored_by_a_champion_that_has_seen_it(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    assert _score(catalog, air_time, january(16)).status == "skipped"
    assert _score(catalog, air_time, january(17)).status == "done"


def test_an_older_day_is_scored_by_the_champion_that_had_not_seen_it(
    second: champions.RegisteredVersion, catalog: Catalog, air_time: ModelConfig
) -> None:
    champions.promote("air_time", 2, actor="a person", reason="newer")
    for day, version in ((18, 1), (19, 2), (20, 2)):
        _score(catalog, air_time, january(day))
        assert _predictions("air_time", january(day)).version == version


def test_the_same_inputs_are_scored_once(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    _score(catalog, air_time)
    first = _predictions("air_time")
    again = _score(catalog, air_time)
    assert (again.status, again.is_done) == ("unchanged", True)
    assert _predictions("air_time") == first
    assert len(rows_of(prediction_sets)) == 1


def test_what_was_scored_anew_from_the_same_inputs_is_the_same_to_the_last_bit(
    trained: Path, catalog: Catalog, flight_delay: ModelConfig
) -> None:
    _score(catalog, flight_delay)
    first = _predictions("flight_delay")
    with writing() as connection:
        connection.execute(prediction_sets.delete())
    assert _score(catalog, flight_delay).status == "done"
    assert _predictions("flight_delay").digest == first.digest


def test_corrected_weather_scores_the_day_that_read_it_again(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    _score(catalog, air_time, YESTERDAY)
    _score(catalog, air_time, DAY)
    before = {day: _predictions("air_time", day) for day in (YESTERDAY, DAY)}
    republish("weather", YESTERDAY, shifted("wind_speed", 10))
    assert _score(catalog, air_time, YESTERDAY).status == "unchanged"
    assert _score(catalog, air_time, DAY).status == "done"
    assert _predictions("air_time", DAY).digest != before[DAY].digest
    assert [(kept.digest, kept.superseded_at is None) for kept in all_scorings("air_time", DAY)] == [
        (before[DAY].digest, False),
        (_predictions("air_time", DAY).digest, True),
    ]
    assert len(before[DAY].frame()) == before[DAY].rows


def test_weather_that_is_ingested_again_unchanged_scores_nothing_again(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    _score(catalog, air_time)
    ingestion.ingest(catalog.dataset("weather"), YESTERDAY, "live")
    assert _score(catalog, air_time).status == "unchanged"


def test_a_correction_that_came_after_the_day_scores_nothing_again(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    _score(catalog, air_time)
    later = air_time.moment(DAY) + dt.timedelta(hours=1)
    republish("weather", YESTERDAY, shifted("wind_speed", 10), knowledge_time=later)
    assert _score(catalog, air_time).status == "unchanged"


def test_a_challenger_scores_in_the_shadow_and_changes_nothing_that_is_served(
    trained: Path, catalog: Catalog, air_time: ModelConfig
) -> None:
    _score(catalog, air_time)
    alone = _predictions("air_time").frame()["prediction"].to_numpy()
    champions.register("air_time", all_decisions("air_time")[0].run_key)
    outcome = _score(catalog, air_time)
    assert outcome.message.endswith("rows scored by version 1, and by challenger 2 as its shadow")
    predictions = _predictions("air_time")
    assert (predictions.version, predictions.challenger_version) == (1, 2)
    frame = predictions.frame()
    assert list(frame.columns)[-4:] == ["prediction", "challenger_prediction", "served:version", "served:as_of"]
    assert set(frame["served:version"]) == {1}
    assert set(frame["served:as_of"]) == {air_time.moment(DAY)}
    assert np.array_equal(frame["prediction"].to_numpy(), alone)
    assert not np.array_equal(frame["challenger_prediction"].to_numpy(), alone)


@pytest.mark.parametrize("other", [{"task": "classification"}, {"rows": "weather"}])
def test_a_challenger_of_another_task_or_other_rows_casts_no_shadow(
    second: champions.RegisteredVersion, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    class Other(Recipe):
        def config(self, now: ModelConfig) -> ModelConfig:
            return super().config(now).model_copy(update=other)

    recipe_of_version = scoring.recipe_of_version

    def recipe(catalog: Catalog, model: ModelConfig, version: champions.RegisteredVersion) -> Recipe:
        own = recipe_of_version(catalog, model, version)
        return Other(**vars(own)) if version.version == second.version else own

    monkeypatch.setattr(scoring, "recipe_of_version", recipe)
    _score(catalog, air_time)
    assert _predictions("air_time").challenger_version == 0
    assert open_alerts("air_time") == []


def test_a_challenger_casts_no_shadow_on_a_day_that_it_has_seen(
    second: champions.RegisteredVersion, catalog: Catalog, air_time: ModelConfig
) -> None:
    _score(catalog, air_time, january(18))
    assert _predictions("air_time", january(18)).challenger_version == 0


def test_a_champion_whose_artifact_was_tampered_with_scores_nothing(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    champion = champions.champion("air_time")
    assert champion is not None
    Path(urlsplit(champion.artifact_uri).path, "model.skops").write_bytes(b"another model")
    with pytest.raises(DataError, match="its files were changed. It is not served."):
        _score(catalog, air_time)
    assert rows_of(prediction_sets) == []


def test_a_scoring_that_was_killed_before_it_was_recorded_is_done_again(
    trained: Path, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(scoring, "record_scoring", _killed)
        _score(catalog, air_time)
    assert find_predictions("air_time", DAY) is None
    assert _score(catalog, air_time).status == "done"


def test_predictions_that_the_storage_lost_are_made_again(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    _score(catalog, air_time)
    first = _predictions("air_time")
    (trained / "storage" / first.path).unlink()
    assert _score(catalog, air_time).status == "done"
    assert _predictions("air_time") == first and first.scoring == 1
    assert len(first.frame()) == first.rows


def test_a_day_without_rows_is_scored_and_has_no_predictions(trained: Path, catalog: Catalog, air_time: ModelConfig) -> None:
    republish("schedules", DAY, lambda frame: frame.head(0))
    assert _score(catalog, air_time).message == "0 rows scored by version 1"
    assert len(_predictions("air_time").frame()) == 0


def test_prediction_sets_come_oldest_first_with_the_origin_that_they_inherit(
    trained: Path, catalog: Catalog, air_time: ModelConfig
) -> None:
    for day, origin in ((DAY, "live"), (YESTERDAY, "backfill")):
        scoring.score(catalog, air_time, day, origin)
    assert [(each.partition, each.origin) for each in list_predictions("air_time")] == [
        (YESTERDAY, "backfill"),
        (DAY, "live"),
    ]


def test_a_challenger_that_cannot_be_computed_is_left_out_and_the_champion_scores(
    second: champions.RegisteredVersion, catalog: Catalog, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its recipe, too: the champion does not wait for what is only its shadow."""
    by_recipe = scoring.recipe_of_version
    predict = scoring.predict
    by_champion, by_challenger = "champion", "challenger"
    calls = iter([by_champion, by_challenger, by_champion] * 2)  # once more by the champion alone, as the challenger fails

    def without_its_own(catalog: Catalog, model: ModelConfig, version: champions.RegisteredVersion) -> object:
        if version.version == second.version:
            raise ConfigError("it kept no recipe")
        return by_recipe(catalog, model, version)

    def once(*given: object) -> object:
        if next(calls) == by_challenger:
            raise ValueError("could not convert string to float")
        return predict(*given)  # type: ignore[arg-type]

    def one_too_few(*given: object) -> object:
        predicted = predict(*given)  # type: ignore[arg-type]
        return predicted[:-1] if next(calls) == by_challenger else predicted

    for name, stand_in, cause in (
        ("recipe_of_version", without_its_own, "kept no recipe"),
        ("predict", once, "could not convert"),
        ("predict", one_too_few, "rows where the champion scores"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(scoring, name, stand_in)
            assert _score(catalog, air_time).is_done
        assert _predictions("air_time").challenger_version == 0
        [alert] = open_alerts("air_time")
        assert (alert.key, alert.severity) == ("challenger/air_time", "warning")
        assert cause in alert.message

    assert _score(catalog, air_time).status == "done"
    assert _predictions("air_time").challenger_version == second.version
    assert open_alerts("air_time") == []


def _score(catalog: Catalog, model: ModelConfig, day: Partition = DAY) -> Outcome:
    return scoring.score(catalog, model, day, "live")


def _predictions(model: str, day: Partition = DAY) -> PredictionSet:
    found = find_predictions(model, day)
    assert found is not None
    return found


def _stage(model: str) -> tuple[str, str]:
    record = find_stage(model, "score", DAY)
    assert record is not None
    return record.status, record.message


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
