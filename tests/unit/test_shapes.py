"""Each shape of docs/guides/shapes.md is declared, trained, served, watched, corrected and replayed."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

import pytest
import yaml

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.check import check_catalog
from include.evergreen.data import ingestion
from include.evergreen.features.build import labelled_frame
from include.evergreen.features.check import check_features
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.monitoring import list_observations, monitor
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.scoring import readiness
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.testkit import CHECKS, examine
from include.evergreen.training.rehearsal import check_estimators, check_own_metrics
from include.evergreen.training.take_snapshot import take_snapshot
from tests.shapes.living import FOLDER, Living

GUIDE = PROJECT_ROOT / "docs" / "guides" / "shapes.md"
SHAPES = sorted(each.parent.name for each in FOLDER.glob("*/data.py"))
IN_ANOTHER_PROCESS = "nothing_but_the_rows_decides"  # a cold one, of four seconds each


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Living:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(FOLDER / request.param))
    return Living(request.param)


def test_it_is_sound_and_its_features_keep_the_promises_of_every_model(shape: Living) -> None:
    assert check_catalog(shape.catalog) == []
    assert [*check_features(shape.catalog), *check_estimators(shape.catalog), *check_own_metrics(shape.catalog)] == []
    checks = [check for check in CHECKS if check != IN_ANOTHER_PROCESS or os.environ.get("EVERGREEN_ALL_SHAPES")]
    assert [finding for check in checks for finding in examine(shape.catalog, shape.name, check)] == []


@pytest.mark.usefixtures("permuted_once")
def test_it_is_trained_serves_is_watched_and_replayed(shape: Living) -> None:
    catalog, model, grain = shape.catalog, shape.model, shape.model.grain
    as_of = shape.first_as_of()
    shape.deliver_all(max(grain.start(as_of), model.moment(as_of)))

    done = run_cycle(catalog, model, as_of, reason="the first", actor="a person")
    assert done.unavailable == {}
    assert done.decision.verdict == "blessed", done.decision.message  # the gate's bounds are those of the law by which the source draws
    assert (done.scored.status, done.version.as_of) == ("done", as_of)
    assert reproduce(catalog, model.name, 1).is_identical

    labels = catalog.dataset(model.target.dataset)
    last = model.labels.partitions(as_of)[1]
    told = labels.grain.end(last) + getattr(shape.source, "TOLD_AFTER", dt.timedelta())
    shape.deliver_all(max(told, labels.known_from(last)))
    assert readiness.monitoring(model.name, as_of, model.labels).is_due
    assert monitor(catalog, model, as_of, "live").status == "done"
    metric = model.gate.criteria[0].metric
    (observed,) = list_observations(model.name, f"performance.{metric}", as_of, as_of)
    assert observed.rows > 0

    following = grain.shift(as_of, 1)
    shape.deliver_all(model.moment(following))
    assert score(catalog, model, following, "live").status == "done"
    rows = catalog.dataset(model.rows)
    newest = model.newest(model.rows, following)
    shape.deliver(rows, newest, model.moment(following), shape.frame(rows, newest).iloc[:-1])
    assert readiness.scoring(model.name, following, moment=model.moment(following)).is_due, "the correction was known at the scoring moment"
    assert score(catalog, model, following, "live").status == "done"
    assert find_predictions(model.name, following).rows == len(shape.frame(rows, newest)) - 1

    assert take_snapshot(catalog, model, as_of).digest == done.snapshot.digest, "what came since was not known"


@pytest.mark.parametrize(
    ("shape", "moment", "hours"),
    [("days_of_new_york", "2025-03-09T12:00Z", 23), ("shifts_of_a_plant", "2025-03-30T01:00Z", 11)],
    indirect=["shape"],
)
def test_a_partition_in_which_the_clock_is_put_forward_is_learned_from_with_all_of_its_rows(shape: Living, moment: str, hours: int) -> None:
    """The training above learns from the one in which it is set back."""
    partition = shape.model.grain.at(dt.datetime.fromisoformat(moment))
    assert shape.model.grain.end(partition) - shape.model.grain.start(partition) == dt.timedelta(hours=hours)
    for dataset in map(shape.catalog.dataset, shape.catalog.dataset_names()):
        for each in dataset.grain.between(dataset.grain.shift(partition, -6), partition):
            shape.deliver(dataset, each, dataset.known_from(each), shape.frame(dataset, each))
    cache = PartitionCache(shape.model.grain.shift(partition, 2), model=shape.model)
    frame = labelled_frame(shape.catalog, shape.model, partition, cache)
    assert frame is not None
    assert len(frame) == shape.source.ROWS
    assert frame["hours_in"].between(0, hours).all()


@pytest.mark.parametrize("shape", ["corrected_labels"], indirect=True)
def test_a_day_whose_labels_are_corrected_is_measured_again(shape: Living) -> None:
    catalog, model, grain = shape.catalog, shape.model, shape.model.grain
    as_of = shape.first_as_of()
    shape.deliver_all(grain.start(as_of))
    run_cycle(catalog, model, as_of, reason="the first", actor="a person")
    labels = catalog.dataset(model.target.dataset)
    measured = []
    for moment in (labels.known_from(as_of), grain.end(as_of) + shape.source.TOLD_AFTER):
        shape.deliver_all(moment)
        assert readiness.monitoring(model.name, as_of, model.labels).is_due
        assert monitor(catalog, model, as_of, "live").status == "done"
        (observed,) = list_observations(model.name, "performance.auc", as_of, as_of)
        measured.append(observed.value)
    assert measured[0] < measured[1], "one label in five was wrong at first"


def test_the_guide_shows_of_each_shape_what_is_declared() -> None:
    shown = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert sorted({path.split("/")[0] for path, _ in shown}) == SHAPES
    assert len(shown) == GUIDE.read_text().count("```yaml")
    for path, text in shown:
        declared = yaml.safe_load((FOLDER / path).read_text())
        for key, value in yaml.safe_load(text).items():
            assert declared[key] == value, f"{path}: {key}"


def test_its_source_is_ingested_as_it_is_delivered_here(shape: Living) -> None:
    for name in shape.catalog.dataset_names():
        dataset = shape.catalog.dataset(name)
        partition = dataset.grain.shift(dataset.schedule.first, 3)
        frame = shape.frame(dataset, partition)
        shape.put(dataset, partition, frame)
        version, _ = ingestion.ingest(dataset, partition, "live")
        assert version.digest == frame_digest(frame)
