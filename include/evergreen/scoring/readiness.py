"""Readiness: whether a model's scoring or monitoring has new inputs to process for a partition.

Each asset event asks here before Airflow makes a run of it, so that no task is started that has nothing to do; `missed` asks for
what no event has started. It reads a few rows by their keys, and nothing that scores; of the YAML, the schedule of labels that come late.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.base import RECORDED
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.labels import LabelSource
from include.evergreen.config.models import Input
from include.evergreen.config.moments import WHEN_IT_BEGINS, ScoringMoment
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.data.partitions import PartitionVersion, known_partitions, newest_known
from include.evergreen.features.labels import truth_digest
from include.evergreen.foundation import clock
from include.evergreen.foundation.grain import Grain, Partition
from include.evergreen.foundation.span import Span
from include.evergreen.registry.history import challenger_for, champion_for
from include.evergreen.registry.versions import RegisteredVersion
from include.evergreen.scoring.predictions import CURRENT
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import partition_versions, prediction_sets, stage_records
from include.evergreen.training.recipes import find_recipe

Origin = Literal["live", "backfill"]
Key = tuple[str, Partition]  # a dataset and its partition
MOST_READING = 744  # partitions of a model that one event of an input may start: as many as a month has hours
BACK_AT_MOST = 10 * MOST_READING  # from the newest rows, to find them
KEYS_AT_ONCE = 200  # of versions that are looked up by one query; SQLite takes no condition that is a thousand deep
OWN_EVENT_WITHIN = dt.timedelta(seconds=30)  # of a publication: by then its event has come, or its publisher died


@dataclass(frozen=True)
class News:
    """A version of a partition, or a set of predictions, that a stage has not read.

    ``order`` grows from one version to the next that is committed, whatever the clocks of their hosts say; predictions have none.
    """

    name: str
    origin: str
    recorded_at: dt.datetime
    order: int = 0


@dataclass(frozen=True)
class Readiness:
    """What a stage could do for a partition. ``missing`` must come first; ``blocker`` is the reason why it cannot run at all.

    ``since`` is when the first of the inputs arrived; ``previous_origin`` is the origin of the last run of the stage for the partition.
    """

    missing: tuple[str, ...] = ()
    blocker: str = ""
    news: tuple[News, ...] = ()
    since: dt.datetime | None = None
    previous_origin: str = ""

    @property
    def is_due(self) -> bool:
        """Whether the stage has something to do, and can."""
        return bool(self.news) and not self.missing and not self.blocker

    @property
    def origin(self) -> Origin:
        """What the stage makes of the partition is live when anything that is new to it is, and else stays what it was."""
        if not self.news:
            return "live" if self.previous_origin == "live" else "backfill"
        return "live" if any(version.origin == "live" for version in self.news) else "backfill"

    def is_started_by(self, published: str) -> bool:
        """Whether the event of ``published`` is the one to start the stage: of several inputs it is that of the last.

        Each publisher commits before its event comes, so two events at once would both find everything there. An event that is not
        the last one's leaves it to that one, which is still to come or has come, unless that is too long ago to be on its way.

        :param published: the name of what the event tells of, as in `News`
        :returns: whether a run is to be made of this event
        """
        if not self.is_due:
            return False
        last = max(self.news, key=lambda version: version.order)
        return published == last.name or clock.now() - last.recorded_at > OWN_EVENT_WITHIN


def partition_name(key: Key) -> str:
    """Name a partition of a dataset as records and people do.

    :param key: the dataset's name, and the day
    :returns: such as ``weather/2013-02-08``
    """
    return f"{key[0]}/{key[1]}"


def scoring(model: str, partition: Partition, published: Key | None = None, *, moment: dt.datetime) -> Readiness:
    """What scoring has not read: all inputs, of a partition that was never scored, and later what was corrected since.

    :param model: name of the model
    :param partition: the day whose rows are scored
    :param published: the input whose event asks, if one does: a challenger may read what the champion does not
    :param moment: the partition's scoring moment
    :returns: what there is to do for the partition
    """
    with reading() as connection:
        row = _scored(connection, model, partition)
    if row is None:
        return _first_scoring(model, partition)
    read = (row.detail or {}).get("read")
    news = () if read is None else _corrections(moment, row.detail)
    if read is None:
        news = _since_then(model, partition, moment, row.recorded_at)
    elif not news and published and partition_name(published) not in read:
        news = _for_the_challenger(model, partition, published, row.challenger_version)
    return Readiness(news=news, previous_origin=row.origin)


def monitoring(model: str, partition: Partition, labels: LabelSource) -> Readiness:
    """What monitoring has not read: the predictions, and the labels once they are mature.

    Raises `ConfigError` when labels come late and the YAML of their dataset is wrong.

    :param model: name of the model
    :param partition: the day whose rows were scored
    :param labels: where the labels of the model stand
    :returns: what there is to do for the partition
    """
    return monitorings(model, partition, partition, labels).get(partition) or _unscored(model, partition, labels)


def monitorings(model: str, first: Partition, last: Partition, labels: LabelSource) -> dict[Partition, Readiness]:
    """What monitoring has not read of each scored partition of a range. Raises what `monitoring` raises.

    :param model: name of the model
    :param first: the first day, included
    :param last: the last day, included
    :param labels: where the labels of the model stand
    :returns: what there is to do, by partition, oldest first; those that were not scored are left out
    """
    of_model = {"model": model, "first": first, "last": last}
    with reading() as connection:
        scored = connection.execute(_SCORED, of_model).all()
        if not scored:
            return {}
        done = {row.partition: row for row in connection.execute(_MONITORED, of_model)}
        newest = _newest_labels(connection, labels, first, last)
    schedule = Catalog().dataset(labels.dataset).schedule if labels.is_spread else None
    return {row.partition: _monitoring(row, done.get(row.partition), newest, labels, schedule) for row in scored}


def monitorings_started_by(model: str, published: Partition, labels: LabelSource) -> list[Partition]:
    """Say of which partitions the monitoring is started by the event of a partition of labels. Raises what `monitoring` raises.

    They are those that it makes mature, and the mature ones whose labels it may change. While a partition waits for others, nothing is
    started for it, however many of its labels come.

    :param model: name of the model
    :param published: the partition of the labels' dataset
    :param labels: where the labels of the model stand
    :returns: scored partitions, oldest first
    """
    name = partition_name((labels.dataset, published))
    ready = monitorings(model, *labels.rows(published), labels)
    return [partition for partition, readiness in ready.items() if readiness.is_started_by(name)]


@dataclass(frozen=True)
class Inputs:
    """What a version reads to score a partition, by its own recipe.

    ``grain`` is that of its rows. ``inputs`` has of each dataset its calendar, the lag, and, where the newest known one is read, how
    old that may be.
    """

    grain: Grain
    scored_at: ScoringMoment
    inputs: tuple[tuple[str, Calendar, Span, Span | None], ...]

    def keys(self, partition: Partition) -> list[Key]:
        """List the newest partition of each input, or, where rows have their own times, the newest of each of them.

        :param partition: the day whose rows are scored
        :returns: them, whether or not they are there, in the order of the recipe
        """
        return [key for each in self.inputs for key in self._keys(partition, *each)]

    def there(self, partition: Partition) -> dict[Key, list[sa.Row[Any]]]:
        """Look up what of them is published.

        :param partition: the day whose rows are scored
        :returns: the versions of each that is there, older ones first; of a newest known one those that were known
        """
        moment, versions = self.scored_at.moment(self.grain, partition), _published(self.keys(partition))
        newest = {dataset for dataset, _, _, age in self.inputs if age is not None}
        known = {key: [row for row in rows if key[0] not in newest or row.knowledge_time <= moment] for key, rows in versions.items()}
        return {key: rows for key, rows in known.items() if rows}

    def _keys(self, partition: Partition, dataset: str, calendar: Calendar, lag: Span, age: Span | None) -> list[Key]:
        grain = calendar.grain
        if age is None:
            return [(dataset, newest) for newest in self.scored_at.newest_reads(self.grain, partition, calendar, lag)]
        first, last = self.scored_at.moments(self.grain, partition)
        newest, moment = grain.at(last), self.scored_at.moment(self.grain, partition)
        version = newest_known(dataset, as_of=moment, first=calendar.minus(grain.at(first), age), last=newest)
        return [(dataset, version.partition if version else newest)]


def inputs_of(version: RegisteredVersion) -> Inputs:
    """Look up what a version reads.

    Raises `DataError` when its recipe was changed in the database; `ConfigError` when none was kept and the model is not declared now.

    :param version: the registered version
    :returns: its inputs
    """
    try:
        return _kept_inputs(version.recipe_digest)
    except LookupError:  # an older release trained it, and kept no recipe
        model = Catalog().model(version.model)
        return _inputs(model.calendar_of, model.rows, model.scored_at, model.inputs)


def partitions_reading(model: ModelConfig, dataset: str, published: Partition) -> list[Partition]:
    """List the partitions of a model that read a partition of an input as the newest.

    Of an input whose newest known partition is read, they are those whose scoring moment is after the published one was known and before a
    newer one was, up to the newest rows; at most `MOST_READING`, the newest of them. Who changes what many more have read scores them again
    by a range (`rescore`).

    :param model: the model as it is declared now
    :param dataset: the input
    :param published: its partition
    :returns: keys of the model's partitions, oldest first, whether or not they are due
    """
    read = model.input(dataset)
    if read.max_age is None:
        return model.scored_by(dataset, published)
    of_input, rows = model.grain_of(dataset), model.grain
    oldest_reader = model.calendar_of(dataset).plus(published, read.max_age)
    known = _known_from(dataset, published, oldest_reader)
    newest_rows = _newest_partition(model.rows)
    if published not in known or newest_rows is None:
        return []
    read_from = {partition: max(moment, of_input.start(partition)) for partition, moment in known.items()}
    begins = read_from.pop(published)
    ends = min([of_input.end(oldest_reader), *read_from.values()])
    last = max(model.scored_by(model.rows, newest_rows), default=None)
    if last is None:
        return []
    first = rows.at(begins - (model.moment(last) - rows.start(last)))
    candidates = rows.between(max(rows.shift(first, -1), rows.shift(last, -BACK_AT_MOST)), last)
    moments = ((partition, *model.scored_at.moments(rows, partition)) for partition in candidates)
    return [partition for partition, earliest, latest in moments if begins <= latest and earliest < ends][-MOST_READING:]


# --- scoring ----------------------------------------------------------------------------------------------------------


def _first_scoring(model: str, partition: Partition) -> Readiness:
    champion = champion_for(model, partition)
    if champion is None:
        return Readiness(blocker=f"no champion with an as_of up to {partition}")
    inputs = inputs_of(champion)
    keys, versions = inputs.keys(partition), inputs.there(partition)
    return Readiness(
        missing=tuple(partition_name(key) for key in keys if key not in versions),
        news=tuple(_news(published[-1]) for published in versions.values()),
        since=min((published[0].recorded_at for published in versions.values()), default=None),
    )


def _corrections(moment: dt.datetime, detail: Mapping[str, Any]) -> tuple[News, ...]:
    """The versions that a scoring would read now and did not; those that were known too late for the partition are none."""
    moment = dt.datetime.fromisoformat(detail["moment"]) if "moment" in detail else moment  # of the version that scored
    read = {_key(name): digest for name, digest in detail["read"].items()}
    spans = [tuple(span) for span in detail.get("within", ())]  # of the inputs whose newest known partition is read
    newest = {span[0] for span in spans}
    wanted = {key: {digest} for key, digest in read.items() if key[0] not in newest}
    for dataset, first, last, *each in spans:  # with `each`, rows read several of them, each at its own time
        find = known_partitions if each else _newest_alone
        for version in find(dataset, as_of=moment, first=first, last=last):
            wanted[dataset, version.partition] = {digest for key, digest in read.items() if key[0] == dataset}
    known = {key: _known(versions, moment) for key, versions in _published(wanted).items()}
    return tuple(_news(version) for key, version in known.items() if version is not None and version.digest not in wanted[key])


def _newest_alone(dataset: str, *, as_of: dt.datetime, first: Partition, last: Partition) -> list[PartitionVersion]:
    return list(filter(None, [newest_known(dataset, as_of=as_of, first=first, last=last)]))


def _for_the_challenger(model: str, partition: Partition, published: Key, shadow: int) -> tuple[News, ...]:
    """What the challenger alone reads came after the champion had scored: it can join now."""
    rival = challenger_for(model, partition)
    if rival is None or rival.version == shadow:
        return ()
    inputs = inputs_of(rival)
    keys, versions = inputs.keys(partition), inputs.there(partition)
    if published not in keys or set(keys) - set(versions):
        return ()
    return (_news(versions[published][-1]),)


def _since_then(model: str, partition: Partition, moment: dt.datetime, scored_at: dt.datetime) -> tuple[News, ...]:
    """Of a scoring whose record, by an older release, does not say what it read: the versions that came after it."""
    champion = champion_for(model, partition)
    versions = inputs_of(champion).there(partition) if champion else {}
    known = [_known(published, moment) for published in versions.values()]
    return tuple(_news(version) for version in known if version is not None and version.recorded_at > scored_at)


def _known(versions: list[sa.Row[Any]], moment: dt.datetime) -> sa.Row[Any] | None:
    """The newest version that was known at the scoring moment of a partition."""
    return next((version for version in reversed(versions) if version.knowledge_time <= moment), None)


# --- monitoring -------------------------------------------------------------------------------------------------------


def _unscored(model: str, partition: Partition, labels: LabelSource) -> Readiness:
    with reading() as connection:
        came = [row.recorded_at for row in connection.execute(_LABELS, _label_range(labels, partition, partition))]
    return Readiness(missing=(f"predictions of {model}/{partition}",), since=min(came, default=None))


def _newest_labels(connection: sa.Connection, labels: LabelSource, first: Partition, last: Partition) -> dict[Partition, sa.Row[Any]]:
    """The newest version of each partition that may hold labels of a range of rows."""
    return {row.partition: row for row in connection.execute(_LABELS, _label_range(labels, first, last))}


def _label_range(labels: LabelSource, first: Partition, last: Partition) -> dict[str, Any]:
    return {"dataset": labels.dataset, "first": labels.partitions(first)[0], "last": labels.partitions(last)[1]}


def _monitoring(
    scored: sa.Row[Any],
    done: sa.Row[Any] | None,
    newest: Mapping[Partition, sa.Row[Any]],
    labels: LabelSource,
    schedule: PartitionSchedule | None,
) -> Readiness:
    news = []
    if _is_new(scored.digest, scored.recorded_at, "predictions", done):
        news.append(News("predictions", scored.origin, scored.recorded_at))
    first, last = labels.partitions(scored.partition)
    theirs = {day: row for day, row in newest.items() if first <= day <= last}
    truth = truth_digest(labels, {day: row.digest for day, row in theirs.items()}, labels.missing(scored.partition, theirs, schedule))
    if truth is not None:
        came_last = max(theirs.values(), key=lambda row: int(row.id))
        if _is_new(truth, came_last.recorded_at, "truth", done):
            unread = [row for row in theirs.values() if done is None or row.recorded_at > done.recorded_at]
            is_live = any(row.origin == "live" for row in unread or [came_last])
            news.append(replace(_news(came_last), origin="live" if is_live else "backfill"))
    return Readiness(news=tuple(news), since=scored.recorded_at, previous_origin=scored.origin)


def _is_new(digest: str, recorded_at: dt.datetime, name: str, done: sa.Row[Any] | None) -> bool:
    """Whether the last monitoring, if there was one, has not read it; by its time, where an older release did not say what it read."""
    if done is None:
        return True
    read = done.detail.get("read", {})
    return bool(digest != read[name] if name in read else recorded_at > done.recorded_at)


# --- rows -------------------------------------------------------------------------------------------------------------


_version = partition_versions.c
_record = stage_records.c
_predictions = prediction_sets.c
_FIRST, _LAST = sa.bindparam("first", type_=sa.String), sa.bindparam("last", type_=sa.String)

# Built once: an event of a dataset asks for each model that reads it, and to build them costs as much as to run them.
_SCORED: sa.Select[Any] = (
    sa.select(
        _predictions.partition,
        _predictions.digest,
        _predictions.origin,
        _predictions.recorded_at,
        _predictions.challenger_version,
        _record.detail,
    )
    .select_from(
        prediction_sets.outerjoin(
            stage_records,
            (_record.model == _predictions.model)
            & (_record.partition == _predictions.partition)
            & (_record.stage == "score")
            & (_record.status == "done"),
        )
    )
    .where(_predictions.model == sa.bindparam("model"), _predictions.partition.between(_FIRST, _LAST), CURRENT)
    .order_by(_predictions.partition)
)
_MONITORED: sa.Select[Any] = sa.select(_record.partition, _record.detail, _record.recorded_at).where(
    _record.model == sa.bindparam("model"),
    _record.partition.between(_FIRST, _LAST),
    _record.stage == "monitor",
    _record.status == "done",
)
_VERSION_COLUMNS = (
    _version.id,
    _version.dataset,
    _version.partition,
    _version.digest,
    _version.knowledge_time,
    _version.origin,
    _version.recorded_at,
)
_LABELS: sa.Select[Any] = (
    sa.select(*_VERSION_COLUMNS)
    .where(_version.dataset == sa.bindparam("dataset"), _version.partition.between(_FIRST, _LAST))
    .order_by(_version.partition, _version.version)
)


def _scored(connection: sa.Connection, model: str, partition: Partition) -> sa.Row[Any] | None:
    """The predictions that stand, with what the scoring recorded that it read."""
    return connection.execute(_SCORED, {"model": model, "first": partition, "last": partition}).first()


def _published(keys: Collection[Key]) -> dict[Key, list[sa.Row[Any]]]:
    """All versions of some partitions, older ones first; of those that were never published there is nothing."""
    versions: dict[Key, list[sa.Row[Any]]] = {}
    with reading() as connection:
        for begin in range(0, len(keys), KEYS_AT_ONCE):
            lot = list(keys)[begin : begin + KEYS_AT_ONCE]
            values = {
                f"{name}{number}": value for number, key in enumerate(lot) for name, value in zip(("dataset", "day"), key, strict=True)
            }
            for row in connection.execute(_versions_query(len(lot)), values):
                versions.setdefault((row.dataset, row.partition), []).append(row)
    return versions


@lru_cache
def _versions_query(keys: int) -> sa.Select[Any]:
    """By an OR of so many keys, each of which SQLite looks up in the index; a list of pairs it would scan the table for."""
    wanted = [
        (_version.dataset == sa.bindparam(f"dataset{number}")) & (_version.partition == sa.bindparam(f"day{number}"))
        for number in range(keys)
    ]
    return sa.select(*_VERSION_COLUMNS).where(sa.or_(sa.false(), *wanted)).order_by(_version.version)


def _known_from(dataset: str, first: Partition, last: Partition) -> dict[Partition, dt.datetime]:
    """Since when each partition of a span is known: the first of them in its newest version, the others in any."""
    moments: dict[Partition, dt.datetime] = {}
    query = sa.select(_version.partition, _version.knowledge_time).where(
        _version.dataset == dataset, _version.partition.between(first, last)
    )
    with reading() as connection:
        for partition, moment in connection.execute(query.order_by(_version.partition, _version.version)):
            moments[partition] = moment if partition == first else min(moment, moments.get(partition, moment))
    return moments


def _newest_partition(dataset: str) -> Partition | None:
    with reading() as connection:
        return connection.execute(sa.select(sa.func.max(_version.partition)).where(_version.dataset == dataset)).scalar()


def _news(version: sa.Row[Any]) -> News:
    return News(partition_name((version.dataset, version.partition)), version.origin, version.recorded_at, version.id)


def _key(name: str) -> Key:
    dataset, _, day = name.rpartition("/")
    return dataset, Partition(day)


@lru_cache(maxsize=4096)  # a recipe never changes; one for each of a large fleet's champions and challengers
def _kept_inputs(recipe_digest: str) -> Inputs:
    recipe = find_recipe(recipe_digest)
    if recipe is None:
        raise LookupError(recipe_digest)
    declared = recipe.document["declared"]
    scored_at = ScoringMoment.model_validate(declared["scored_at"]) if "scored_at" in declared else WHEN_IT_BEGINS
    inputs = (Input.model_validate(each, context=RECORDED) for each in declared["inputs"])
    return _inputs(recipe.calendar_of, declared["rows"], scored_at, inputs)


def _inputs(calendar_of: Callable[[str], Calendar], rows: str, scored_at: ScoringMoment, inputs: Iterable[Input]) -> Inputs:
    described = tuple((each.dataset, calendar_of(each.dataset), each.lag, each.max_age) for each in inputs)
    return Inputs(calendar_of(rows).grain, scored_at, described)
