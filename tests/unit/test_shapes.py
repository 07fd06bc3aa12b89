"""Each shape of docs/guides/shapes.md is declared, trained, served, watched, corrected and replayed."""

from __future__ import annotations

import datetime as dt
import importlib
import os
import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml

from include.evergreen import PROJECT_ROOT
from include.evergreen.config import Catalog, DatasetConfig, ModelConfig
from include.evergreen.config.check import check_catalog
from include.evergreen.data import ingestion
from include.evergreen.data.partitions import current_partition, publish_partition
from include.evergreen.features.check import check_features
from include.evergreen.foundation.digest import frame_digest
from include.evergreen.foundation.grain import Partition
from include.evergreen.foundation.settings import Settings
from include.evergreen.monitoring import list_observations, monitor
from include.evergreen.operations.local_run import run_cycle
from include.evergreen.operations.reproduce import reproduce
from include.evergreen.operations.timetable import first_training
from include.evergreen.scoring import readiness
from include.evergreen.scoring.predictions import find_predictions
from include.evergreen.scoring.score import score
from include.evergreen.state import storage
from include.evergreen.testkit import CHECKS, examine
from include.evergreen.training.rehearsal import check_estimators, check_own_metrics
from include.evergreen.training.take_snapshot import take_snapshot

GUIDE = PROJECT_ROOT / "docs" / "guides" / "shapes.md"
FOLDER = Path(__file__).parents[1] / "shapes"
SHAPES = sorted(each.parent.name for each in FOLDER.glob("*/data.py"))
IN_ANOTHER_PROCESS = "nothing_but_the_rows_decides"  # a cold one, of four seconds each
TYPES = {"integer": "Int64", "number": "float64", "string": "string", "boolean": "boolean", "timestamp": "datetime64[us, UTC]"}


class Living:
    """A shape's declarations, in a home of their own, and its source."""

    def __init__(self, name: str) -> None:
        self.source: ModuleType = importlib.import_module(f"tests.shapes.{name}.data")
        self.catalog = Catalog(FOLDER / name)
        (self.name,) = self.catalog.model_names()

    @property
    def model(self) -> ModelConfig:
        return self.catalog.model(self.name)

    def first_as_of(self) -> Partition:
        """The first with enough to train on, which is later where labels stand beside the rows and are told later."""
        as_of = first_training(self.catalog, self.model)
        assert as_of is not None
        grain = self.model.grain
        if self.model.rows != self.model.target.dataset:
            return as_of
        return grain.shift(grain.at(grain.start(as_of) + self.source.TOLD_AFTER), 1)

    def deliver_all(self, until: dt.datetime) -> None:
        """Publish all that is known by a moment and is not there yet, in the order in which it becomes known."""
        coming = []
        for name in self.catalog.dataset_names():
            dataset = self.catalog.dataset(name)
            for partition in dataset.schedule.partitions(dataset.schedule.first, dataset.grain.shift(dataset.grain.at(until), 1)):
                coming.append((dataset.known_from(partition), 0, dataset, partition))
                if hasattr(self.source, "later") and name == self.model.target.dataset:
                    coming.append((dataset.grain.end(partition) + self.source.TOLD_AFTER, 1, dataset, partition))
        for known, version, dataset, partition in sorted(coming, key=lambda each: each[:2]):
            if known <= until:
                current = current_partition(dataset.name, partition)
                if current is None or current.version <= version:
                    self.deliver(dataset, partition, known, self.frame(dataset, partition, later=bool(version)))

    def frame(self, dataset: DatasetConfig, partition: Partition, *, later: bool = False) -> pd.DataFrame:
        given = (self.source.later if later else self.source.frame)(dataset.name, partition)
        typed = given[dataset.column_names].astype({column.name: TYPES[column.type] for column in dataset.columns})
        return typed.sort_values(list(dataset.keys), ignore_index=True)

    def deliver(self, dataset: DatasetConfig, partition: Partition, known: dt.datetime, frame: pd.DataFrame) -> None:
        """Publish a partition as ingestion does, without reading it from anywhere."""
        digest = frame_digest(frame)
        path = f"datasets/{dataset.name}/{partition}/{digest[:16]}.parquet"
        storage.write_frame(path, frame)
        counts = {"rows": len(frame), "source_rows": len(frame), "quarantined": 0, "quarantine_digest": "", "quarantine_path": ""}
        publish_partition(
            dataset=dataset.name,
            partition=partition,
            content={"digest": digest, "path": path, **counts},
            known_at=lambda _: known,
            origin="live",
        )


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Living:
    monkeypatch.setenv("EVERGREEN_INCLUDE", str(FOLDER / request.param))
    return Living(request.param)


def test_it_is_sound_and_its_features_keep_the_promises_of_every_model(shape: Living) -> None:
    assert check_catalog(shape.catalog) == []
    assert [*check_features(shape.catalog), *check_estimators(shape.catalog), *check_own_metrics(shape.catalog)] == []
    checks = [check for check in CHECKS if check != IN_ANOTHER_PROCESS or os.environ.get("EVERGREEN_ALL_SHAPES")]
    assert [finding for check in checks for finding in examine(shape.catalog, shape.name, check)] == []


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
    told = labels.grain.end(model.labels.partitions(as_of)[1]) + getattr(shape.source, "TOLD_AFTER", dt.timedelta(days=1))
    shape.deliver_all(told)
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
    landing = Settings.from_environment().home / "landing"
    for name in shape.catalog.dataset_names():
        dataset = shape.catalog.dataset(name)
        partition = dataset.grain.shift(dataset.schedule.first, 3)
        frame = shape.frame(dataset, partition)
        (landing / name).mkdir(parents=True)
        frame.to_csv(str(dataset.source.path).replace("${EVERGREEN_HOME}", str(landing.parent)).format(partition=partition), index=False)
        version, _ = ingestion.ingest(dataset, partition, "live")
        assert version.digest == frame_digest(frame)
