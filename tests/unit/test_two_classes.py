"""Two classes may be declared by a bound, a text, a boolean or a code: the same truth makes the same model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.data.partitions import current_partition, read_partition
from include.evergreen.features.labels import join_labels, known_labels
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.errors import ConfigError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring.observations import list_observations
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.promotion.cards import ensure_card
from include.evergreen.registry import champions
from include.evergreen.state import storage
from include.evergreen.training.recipes import signature_digest
from tests.unit.lifecycle import AS_OF, FIRST, MODEL, include_with, settle_cycled, settle_ingested, settle_landed

YESTERDAY = DAILY.shift(AS_OF, -1)
BOUND = "target: {dataset: outcomes, column: arr_delay, positive_above: 15}"
AS_TEXT = 'target: {dataset: outcomes, column: arrival, positive: "late"}'
DECLARED = {
    "arrival": 'arrival, type: string, nullable: true, description: "late, early or on time; none when cancelled"',
    "is_late": "is_late, type: boolean, nullable: true, description: Whether it was late",
    "code": "code, type: integer, nullable: true, description: 2 of a late arrival",
}


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What ships, whose outcomes also say in words, truth values and codes how a flight arrived."""
    include = include_with(tmp_path, monkeypatch)
    dataset = include / "datasets/outcomes/dataset.yaml"
    columns = "".join(f"  - {{name: {column}}}\n" for column in DECLARED.values())
    dataset.write_text(dataset.read_text().replace("keys: [carrier", f"{columns}keys: [carrier"))
    settle_landed()
    for file in (Settings.from_environment().home / "landing/outcomes").glob("*.csv"):
        rows = pd.read_csv(file)
        delay = rows["arr_delay"]
        words = pd.Series("on time", rows.index).mask(delay > 15, "late").mask(delay < -15, "early").where(delay.notna())
        code = words.map({"late": 2, "early": 0, "on time": 1}).astype("Int64")
        late = words.eq("late").map({True: "true", False: "false"}).where(delay.notna())
        rows.assign(arrival=words, is_late=late, code=code).to_csv(file, index=False)
    return include


@pytest.mark.usefixtures("permuted_once")
def test_a_model_of_a_text_is_the_model_of_the_bound_that_says_the_same(include: Path) -> None:
    declared = include / "models" / MODEL / "model.yaml"
    declared.write_text(declared.read_text().replace(BOUND, AS_TEXT))
    catalog = Catalog()
    assert check_catalog(catalog) == []
    model = catalog.model(MODEL)
    ours = run_cycle(catalog, model, AS_OF, reason="the first", actor="a person")
    observed = {figure.metric: figure.value for figure in list_observations(MODEL, first=FIRST, last=AS_OF)}
    champion = champions.champion(MODEL)
    assert champion is not None
    assert "arrival being late" in storage.read_bytes(ensure_card(catalog, model, champion)).decode()
    others = [
        _labels(catalog, 'arrival, positive: "late"'),
        _labels(catalog, "is_late, positive: true"),
        _labels(catalog, "is_late, positive_above: 0"),
        _labels(catalog, "code, positive: 2"),
        1 - _labels(catalog, "is_late, positive: false"),
    ]
    expected = _labels(catalog, "arr_delay, positive_above: 15")
    assert set(expected.dropna()) == {0.0, 1.0} and expected.isna().any()
    for labels in others:
        pd.testing.assert_series_equal(labels, expected)

    plain = settle_cycled()
    assert ours.candidate.metrics == plain.candidate.metrics
    assert [criterion["value"] for criterion in ours.decision.criteria] != []
    assert observed == {figure.metric: figure.value for figure in list_observations(MODEL, first=FIRST, last=AS_OF)}


def _labels(catalog: Catalog, target: str) -> pd.Series:
    import yaml

    model = catalog.model(MODEL)
    given = yaml.safe_load(f"{{dataset: outcomes, column: {target}}}")
    asking = type(model).model_validate({**model.model_dump(mode="json", exclude_defaults=True), "target": given})
    return _joined(catalog, asking.with_calendars(model.calendar_of))


def _joined(catalog: Catalog, model: ModelConfig) -> pd.Series:
    """The label of each flight of the day before `AS_OF`."""
    flights = read_partition(current_partition("outcomes", YESTERDAY))  # type: ignore[arg-type]
    cache = PartitionCache(AS_OF, model=model)
    return join_labels(catalog, model, flights, known_labels(catalog, model, YESTERDAY, cache), cache)


def test_a_text_without_a_positive_value_is_refused_in_a_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition may have been stored when its column was declared otherwise."""
    settle_ingested()
    catalog = Catalog()
    of_text = catalog.model(MODEL).model_copy(update={"target": catalog.model(MODEL).target.model_copy(update={"column": "origin"})})
    with pytest.raises(ConfigError, match="flight_delay: origin of outcomes 2013-01-19 is no number, so it is no figure to learn"):
        _joined(catalog, of_text)


def test_what_was_declared_before_keeps_its_signature() -> None:
    """Another signature would be a new major version, of a model in which nothing has changed."""
    assert {name: signature_digest(Catalog().model(name))[:12] for name in ("air_time", "flight_delay")} == {
        "air_time": "36cd9a377e96",
        "flight_delay": "cd96602349d6",
    }
