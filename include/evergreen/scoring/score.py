"""Scores a partition with the champion that was not trained on it, and with the challenger as its shadow."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.models import Input
from include.evergreen.data.erased.stale_reads import refuse_stale_reads
from include.evergreen.data.partitions import PartitionVersion, current_partition, newest_known
from include.evergreen.data.partitions.files import RowWriter
from include.evergreen.data.partitions.store import refuse_changed_versions
from include.evergreen.features.build import error_text, feature_batches
from include.evergreen.features.class_columns import as_table, class_columns
from include.evergreen.features.columns import AS_OF, CHALLENGER, PREDICTION, VERSION, as_columns, as_keys, key_column
from include.evergreen.features.partition_cache import PartitionCache
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import document_digest
from include.evergreen.foundation.errors import DataError, OvertakenError, TransientError
from include.evergreen.foundation.grain import Partition
from include.evergreen.registry import champions, servable
from include.evergreen.registry.rollouts import governing_rollout
from include.evergreen.registry.versions import ChangedRecordError
from include.evergreen.scoring.assignment import assigned
from include.evergreen.scoring.explain import explained
from include.evergreen.scoring.failures import attempt
from include.evergreen.scoring.predictions import PredictionSet, find_predictions, record_scoring
from include.evergreen.scoring.readiness import partition_name
from include.evergreen.serving.inference import classes_of, one_thread
from include.evergreen.state import mlflow_store, storage
from include.evergreen.state.alerts import raise_alert, resolve_alert
from include.evergreen.state.database import reading, writing
from include.evergreen.state.stage_status import Outcome, Stage, find_stage, record_stage
from include.evergreen.training.pipeline import predict
from include.evergreen.training.recipes import Recipe, recipe_of_version

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)
SECONDS = "seconds"  # in the detail of the stage: how long the scoring took, from its look at the inputs to the record of its predictions


def score(catalog: Catalog, model: ModelConfig, partition: Partition, origin: str) -> Outcome:
    """Score ``partition`` unless an input is missing or no champion may score it; scoring it again finds the same, or becomes current.

    Each version computes its own features, as its recipe says. Passes on `ArtifactError` when the files of no champion that may score
    the partition verify, and `OvertakenError` when inputs or champions changed again and again while it was scored. What the champion
    cannot compute is recorded as failed, and raises an alert until it, or another, scores that partition or a later one. A challenger
    that cannot be computed is left out.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param partition: the day whose rows are scored
    :param origin: ``live`` or ``backfill``, for the record of the predictions
    :returns: what was done (``done``, ``unchanged``, ``waiting`` or ``skipped``), with the facts for the people who ask
    """
    return attempt(catalog, model, "score", partition, origin, lambda: _score(catalog, model, partition, origin))


def _score(catalog: Catalog, model: ModelConfig, partition: Partition, origin: str) -> Outcome:
    able = servable.serving(model.name, partition)
    first = next(able, None)
    if first is None and (missing := missing_inputs(model, partition)):
        return stage_waits(model, "score", partition, missing)
    if first is None:
        message = f"no champion with an as_of up to {partition}: train and promote one first"
        record_stage(model.name, "score", partition, "skipped", {"message": message})
        return Outcome("skipped", message, {})
    for version in chain([first], able):
        try:
            return _score_by(catalog, _scorer(catalog, model, version), partition, origin)
        except mlflow_store.ArtifactError as error:
            servable.damaged(version, error)
            refused = error
    raise refused


def _score_by(catalog: Catalog, serving: Scorer, partition: Partition, origin: str) -> Outcome:
    """Score with this champion. Raises `ArtifactError` before anything is written when its files do not verify."""
    model = serving.config
    if missing := missing_inputs(model, partition):
        return stage_waits(model, "score", partition, missing)
    began, started = clock.now(), time.monotonic()
    reads = _Reads.now(partition, serving, _shadow(catalog, model, partition, serving))
    existing = find_predictions(model.name, partition)
    if existing and existing.input_digest == reads.digest and storage.exists(existing.path):
        message = f"version {existing.version} has scored the same {existing.rows} rows already"
        earlier = find_stage(model.name, "score", partition)
        took = {SECONDS: earlier.detail[SECONDS]} if earlier and SECONDS in earlier.detail else {}
        record_stage(model.name, "score", partition, "done", {"message": message, **reads.recorded, **took})
        return Outcome("unchanged", message, _facts(existing))
    pipeline = _loaded(serving)
    try:
        written = _write(catalog, reads, pipeline, origin, began)
    except _ChallengerError:
        reads = reads.alone()
        written = _write(catalog, reads, pipeline, origin, began)
    message = f"{written.rows} rows scored by version {written.version}"
    if reads.shadow:
        by = f"challenger {reads.shadow.version.version}"
        message += f", and {reads.share:.0%} of the keys by {by}, which serves them" if reads.share else f", and by {by} as its shadow"
    took = {SECONDS: time.monotonic() - started}
    record_stage(model.name, "score", partition, "done", {"message": message, **reads.recorded, **took})
    log.info("%s %s: %s", model.name, partition, message)
    return Outcome("done", message, _facts(written))


@dataclass(frozen=True)
class Scorer:
    """A version with its own recipe, and the model as that declares it."""

    version: champions.RegisteredVersion
    recipe: Recipe
    config: ModelConfig


def _scorer(catalog: Catalog, model: ModelConfig, version: champions.RegisteredVersion) -> Scorer:
    recipe = recipe_of_version(catalog, model, version)
    return Scorer(version, recipe, recipe.config(model))


def missing_inputs(model: ModelConfig, partition: Partition) -> list[str]:
    """List the input partitions that a scoring needs and that are not there.

    :param model: the model, as the version's recipe declares it, or as it is declared now
    :param partition: the day whose rows are scored
    :returns: the newest partition of each input that was never published, as ``dataset/day``, and that of one whose newest known partition
        is read when none is known; none when all are there
    """
    wanted = [(each, newest) for each in model.inputs for newest in model.newest_of_rows(each.dataset, partition)]
    return [f"{each.dataset}/{day}" for each, day in wanted if not _is_there(model, each, day, partition)]


def _is_there(model: ModelConfig, read: Input, newest: Partition, partition: Partition) -> bool:
    if not read.reads_newest:
        return current_partition(read.dataset, newest) is not None
    oldest = model.oldest(read.dataset, partition)
    return newest_known(read.dataset, as_of=model.moment(partition), first=oldest, last=newest) is not None


def stage_waits(model: ModelConfig, stage: Stage, partition: Partition, missing: list[str]) -> Outcome:
    """Record that a stage waits, and say so.

    :param model: the model as it is declared
    :param stage: ``score`` or ``monitor``
    :param partition: the partition that it works on
    :param missing: what it waits for, as ``dataset/day``
    :returns: ``waiting``, with what is missing
    """
    message = f"waiting for {', '.join(missing)}"
    record_stage(model.name, stage, partition, "waiting", {"message": message, "waiting_for": missing})
    return Outcome("waiting", message, {"waiting_for": missing})


def _shadow(catalog: Catalog, model: ModelConfig, partition: Partition, serving: Scorer) -> Scorer | None:
    """The challenger, when it can score the champion's rows: of the same dataset, all of its own inputs being there."""
    challenger = champions.challenger_for(model.name, partition)
    if challenger is None or challenger.version == serving.version.version:
        resolve_alert(f"challenger/{model.name}")
        return None
    try:
        shadow = _scorer(catalog, model, challenger)
    except (TransientError, MemoryError):
        raise
    except ChangedRecordError as error:  # the champion does not wait for it
        servable.damaged(challenger, error, is_champion=False)
        return None
    except Exception as error:
        _broken_beside(catalog, model, challenger, error)
        return None
    if not servable.may_serve_share(challenger, partition):
        return None
    comparable = shadow.config.rows == serving.config.rows and shadow.config.task == serving.config.task
    return shadow if comparable and not missing_inputs(shadow.config, partition) else None


def _write(catalog: Catalog, reads: _Reads, pipeline: Pipeline, origin: str, began: dt.datetime) -> PredictionSet:
    """Predict the partition's rows, a batch at a time, and keep what was predicted. Raises `_ChallengerError` before anything is kept."""
    cache = PartitionCache(reads.partition, model=reads.serving.config, is_scored=True)
    beside_cache = _cache_of(reads.shadow, reads.serving, cache) if reads.shadow else cache
    with ExitStack() as leaving:
        writer: RowWriter | None = None
        beside = _predicting_beside(catalog, reads, beside_cache) if reads.shadow else None
        for predictions, features in _predicted(catalog, reads.partition, reads.serving, pipeline, cache):
            if beside is not None:
                beside(predictions, features)
            table = as_table(predictions)
            writer = writer or leaving.enter_context(RowWriter(table.schema))
            writer.write(table)
        assert writer is not None  # a partition without rows is one batch
        if beside is not None:
            resolve_alert(f"challenger/{reads.serving.config.name}")
        with reading() as connection:
            refuse_changed_versions(connection, (cache.read | beside_cache.read).values())
        return _keep(reads, writer, origin, began)


def _cache_of(scorer: Scorer, serving: Scorer, champions_cache: PartitionCache) -> PartitionCache:
    """What a version reads the past through: what the champion does, unless it scores as of another moment."""
    if scorer.config.scored_at == serving.config.scored_at and scorer.config.grain == serving.config.grain:
        return champions_cache
    return PartitionCache(champions_cache.as_of, model=scorer.config, is_scored=True)


def _predicted(
    catalog: Catalog, partition: Partition, scorer: Scorer, pipeline: Pipeline, cache: PartitionCache
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """What is kept of the champion's predictions, a batch of rows at a time, and the features that they were made from."""
    for rows, features in feature_batches(catalog, scorer.config, partition, cache, scorer.recipe.code):
        keys = as_keys(rows, catalog.dataset(scorer.config.rows).keys)
        yield _made(_as_of(scorer.config, partition, rows), scorer, pipeline, keys, features), features


def _as_of(model: ModelConfig, partition: Partition, rows: pd.DataFrame) -> pd.Series:
    """The moment as of which each row is scored."""
    import pandas as pd

    moments = model.moment(partition) if model.own_time is None else rows[model.own_time]
    return pd.Series(moments, index=rows.index).astype("datetime64[us, UTC]")


def _made(moments: pd.Series, scorer: Scorer, pipeline: Pipeline, keys: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """What is kept of a version's predictions of some rows: with the features that they were made from."""
    with one_thread():
        predicted = predict(pipeline, scorer.config, features)
        parts = explained(scorer.config, pipeline, features, scorer.version.reference_path) if scorer.config.explain else None
    whole = keys.join(as_columns(features))
    if scorer.config.task == "multiclass":
        whole = whole.join(class_columns(predicted, classes_of(pipeline)).set_axis(whole.index))
    else:
        whole[PREDICTION] = predicted
    whole[VERSION] = scorer.version.version
    whole[AS_OF] = moments
    return whole if parts is None else whole.join(parts)


class _ChallengerError(Exception):
    """The challenger cannot score the partition; an alert says why, and the champion does not wait for it."""


def _predicting_beside(catalog: Catalog, reads: _Reads, cache: PartitionCache) -> Callable[[pd.DataFrame, pd.DataFrame], None]:
    """Puts the challenger's predictions beside the champion's, for each batch of what is kept of these, and of their features.

    In shadow they stand in a column of their own; in a roll-out that lets it serve, in the rows of its keys. It, and they, raise
    `_ChallengerError`.
    """
    shadow, serving = reads.shadow, reads.serving
    assert shadow is not None
    same = shadow.recipe.features_digest == serving.recipe.features_digest
    own = None if same else feature_batches(catalog, shadow.config, reads.partition, cache, shadow.recipe.code)
    with _not_waited_for(catalog, shadow):
        pipeline = _loaded(shadow)

    names = catalog.dataset(serving.config.rows).keys

    def beside(predictions: pd.DataFrame, features: pd.DataFrame) -> None:
        with _not_waited_for(catalog, shadow):
            keys = predictions[[key_column(name) for name in names]]
            rows, read = (None, features) if own is None else next(own, (None, features[:0]))
            if not reads.share:
                with one_thread():
                    predicted = predict(pipeline, shadow.config, read)
                _refuse_other_count(len(predicted), len(features))
                place = list(predictions.columns).index(PREDICTION) + 1
                if shadow.config.task == "multiclass":
                    given = class_columns(predicted, classes_of(pipeline), CHALLENGER).set_axis(predictions.index)
                    for name in reversed(given.columns):
                        predictions.insert(place, name, given[name])
                else:
                    predictions.insert(place, CHALLENGER, predicted)
                return
            _refuse_other_count(len(read), len(features))
            if rows is not None and not as_keys(rows, names).equals(keys):
                raise DataError("it scores other rows than the champion")
            assert reads.governed is not None
            theirs = assigned(serving.config.name, reads.governed[0], keys, reads.share)
            moments = predictions[AS_OF] if rows is None else _as_of(shadow.config, reads.partition, rows)
            _overlay(predictions, _made(moments, shadow, pipeline, keys, read), theirs)

    return beside


def _refuse_other_count(ours: int, champions_rows: int) -> None:
    if ours != champions_rows:
        raise DataError(f"it scores {ours} rows where the champion scores {champions_rows}")


def _overlay(champions_rows: pd.DataFrame, challengers: pd.DataFrame, theirs: np.ndarray) -> None:
    """Put in the rows that are theirs what the challenger made; features that it alone has stand in all rows, as every batch has them."""
    for name in challengers.columns:
        if name not in champions_rows:
            champions_rows[name] = challengers[name]
        elif not champions_rows[name].equals(challengers[name]):
            champions_rows[name] = champions_rows[name].where(~theirs, challengers[name])


@contextmanager
def _not_waited_for(catalog: Catalog, shadow: Scorer) -> Iterator[None]:
    """Within it, what keeps the challenger from scoring becomes an alert, and `_ChallengerError`."""
    try:
        yield
    except (TransientError, MemoryError):
        raise
    except mlflow_store.ArtifactError as error:
        servable.damaged(shadow.version, error, is_champion=False)
        raise _ChallengerError from error
    except Exception as error:
        _broken_beside(catalog, shadow.config, shadow.version, error)
        raise _ChallengerError from error


def _broken_beside(catalog: Catalog, model: ModelConfig, challenger: champions.RegisteredVersion, error: Exception) -> None:
    message = f"{model.name} version {challenger.version} is challenger and cannot score: {error_text(catalog, model, error)}"
    raise_alert(
        f"challenger/{model.name}", model=model.name, severity="warning", message=f"{message} The champion is serving alone.",
        evidence={"version": challenger.version},
    )  # fmt: skip


def _loaded(scorer: Scorer) -> Pipeline:
    """The verified pipeline. Raises `ArtifactError`."""
    version = scorer.version
    pipeline = mlflow_store.load_model(version.artifact_uri, version.artifact_digest, scorer.config.train.trusted_types)
    servable.verified(version)
    return pipeline


def _keep(reads: _Reads, predictions: RowWriter, origin: str, began: dt.datetime) -> PredictionSet:
    """Record the scoring as the current one, unless what it read is no longer what it would read now: then `OvertakenError`."""
    model, partition = reads.serving.config, reads.partition
    digest = predictions.digest()
    path = f"predictions/{model.name}/{partition}/{digest[:16]}.parquet"
    predictions.keep(path)
    with writing() as connection:
        refuse_stale_reads(connection, [model_input.dataset for model_input in model.inputs], began, is_derived=True)
        reads.refuse_overtaken()
        record_scoring(
            connection, model.name, partition, version=reads.serving.version.version,
            challenger_version=reads.shadow.version.version if reads.shadow else 0, rows=predictions.rows, digest=digest, path=path,
            input_digest=reads.digest, origin=origin,
        )  # fmt: skip
    written = find_predictions(model.name, partition)
    assert written is not None
    return written


@dataclass(frozen=True)
class _Reads:
    """What a scoring reads: its versions, who was champion, and each partition that features may read, by ``dataset/day``.

    ``governed`` is the roll-out that governs the partition, and the share of the keys that its version serves, if there is one.
    ``of_champion`` are those that its own features may read, ``of_shadow`` those of the challenger's. ``times`` says when each of their
    versions was known, where rows are scored at their own times and may read one before it is corrected.
    """

    partition: Partition
    serving: Scorer
    shadow: Scorer | None
    champion: int
    governed: tuple[int, float] | None
    of_champion: dict[str, PartitionVersion]
    of_shadow: dict[str, PartitionVersion]
    times: dict[str, str]

    @classmethod
    def now(cls, partition: Partition, serving: Scorer, shadow: Scorer | None) -> _Reads:
        champion = champions.champion_for(serving.config.name, partition)
        with reading() as connection:
            rollout = governing_rollout(connection, serving.config.name, partition)
        governed = (rollout.id, rollout.share(partition)) if rollout else None
        cache = PartitionCache(partition, model=serving.config, is_scored=True)
        beside = _cache_of(shadow, serving, cache) if shadow else cache
        of_shadow = _known_inputs(partition, shadow, beside) if shadow else {}
        of_champion = _known_inputs(partition, serving, cache)
        times = _known_times(partition, serving, cache) | (_known_times(partition, shadow, beside) if shadow else {})
        return cls(partition, serving, shadow, champion.version if champion else 0, governed, of_champion, of_shadow, times)

    @property
    def share(self) -> float:
        """Which share of the keys the challenger serves: 0 in shadow, and without one."""
        return self.governed[1] if self.shadow and self.governed else 0.0

    def alone(self) -> _Reads:
        """Leave the challenger out.

        :returns: what the champion alone reads of this
        """
        return replace(self, shadow=None, of_shadow={})

    @property
    def known(self) -> dict[str, str]:
        """The digest of each partition, by its name; of one that the challenger reads in another version, that of the champion's."""
        return {name: version.digest for name, version in (self.of_shadow | self.of_champion).items()}

    @property
    def others(self) -> dict[str, str]:
        """Besides `known`: of what the challenger reads in another version, that version's digest, and ``times``."""
        beside = {name: version.digest for name, version in self.of_shadow.items() if version.digest != self.known[name]}
        return {f"{name} beside": digest for name, digest in beside.items()} | self.times

    @property
    def columns(self) -> dict[str, str]:
        """The columns by which rows were known, of the partitions that have one."""
        versions = (self.of_shadow | self.of_champion).items()
        return {name: version.knowledge_column for name, version in versions if version.knowledge_column}

    @property
    def digest(self) -> str:
        """What decides the predictions: the versions with their recipes, and what their features may read."""
        versions = [(scorer.version.artifact_digest, scorer.recipe.digest) for scorer in (self.serving, self.shadow) if scorer]
        explain = {"explain": True} if self.serving.config.explain else {}
        columns = {"columns": self.columns} if self.columns else {}
        shares = {"shares": self.governed} if self.share else {}
        others = {"others": self.others} if self.others else {}
        return document_digest({"known": self.known, "versions": versions, **explain, **columns, **shares, **others})

    @property
    def newest(self) -> dict[str, str]:
        """The newest partition of each input: a correction of these starts the scoring again (see `readiness`)."""
        names = [
            partition_name((read.dataset, newest))
            for scorer in (self.serving, self.shadow)
            if scorer
            for read in scorer.config.inputs
            for newest in self._newest_of(scorer, read)
        ]
        return {name: self.known.get(name, "") for name in names}

    @property
    def within(self) -> list[tuple[str, ...]]:
        """Of each input whose newest known partition is read, the first and the last that may be it: a newer one starts scoring again.

        Where rows have their own times, and read several of them, the first that any reads, and ``each``.
        """
        spans = {
            (read.dataset, scorer.config.oldest(read.dataset, self.partition), scorer.config.newest(read.dataset, self.partition))
            if scorer.config.own_time is None
            else (read.dataset, self._newest_of(scorer, read)[0], scorer.config.newest(read.dataset, self.partition), "each")
            for scorer in (self.serving, self.shadow)
            if scorer
            for read in scorer.config.inputs
            if read.reads_newest
        }
        return sorted(spans)

    @property
    def recorded(self) -> dict[str, Any]:
        """What the record of the scoring says that it read, for `readiness`."""
        moment = self.serving.config.moment(self.partition).isoformat()
        return {"read": self.newest, **({"within": self.within} if self.within else {}), "moment": moment}

    def _newest_of(self, scorer: Scorer, read: Input) -> list[Partition]:
        newest = scorer.config.newest_of_rows(read.dataset, self.partition)
        if not read.reads_newest:
            return newest
        of_version = self.of_champion if scorer is self.serving else self.of_shadow
        found = sorted(version.partition for version in of_version.values() if version.dataset == read.dataset) or newest
        return found[-1:] if scorer.config.own_time is None else found

    def refuse_overtaken(self) -> None:
        """Compare what was read with what stands now.

        :raises OvertakenError: when an input was corrected, or another champion promoted, since this was read
        """
        now = _Reads.now(self.partition, self.serving, self.shadow)
        subject = f"{self.serving.config.name} {self.partition}"
        if now.champion != self.champion:
            raise OvertakenError(f"{subject}: version {now.champion} became champion while version {self.champion} scored")
        if now.governed != self.governed:
            raise OvertakenError(f"{subject}: a roll-out began, grew or ended while it was scored")
        if (now.known, now.columns, now.others) != (self.known, self.columns, self.others):
            found = [reads.known | reads.others for reads in (now, self)]
            columns = now.columns, self.columns
            read = [{name: (each.get(name), by.get(name)) for name in found[0] | found[1]} for each, by in zip(found, columns, strict=True)]
            names = sorted(name for name in read[0] if read[0][name] != read[1][name])
            raise OvertakenError(f"{subject}: {', '.join(names)} changed while it was scored")


def _known_inputs(partition: Partition, scorer: Scorer, cache: PartitionCache) -> dict[str, PartitionVersion]:
    """Every partition that a version's features may read, by ``dataset/day``."""
    config, versions = scorer.config, list[PartitionVersion]()
    for read in config.inputs:
        oldest, newest = config.oldest(read.dataset, partition), config.newest(read.dataset, partition)
        if not read.reads_newest:
            versions += cache.known(read.dataset, partition, oldest, newest)
        elif config.own_time is None:
            versions += filter(None, [cache.newest(read.dataset, partition, oldest, newest)])
        else:
            of_first = cache.newest(read.dataset, config.grain.start(partition), oldest, newest)
            versions += cache.known(read.dataset, partition, of_first.partition if of_first else oldest, newest)
    return {partition_name((version.dataset, version.partition)): version for version in versions}


def _known_times(partition: Partition, scorer: Scorer, cache: PartitionCache) -> dict[str, str]:
    """When each version that rows may read at their own times was known, by ``dataset/day@version``; none where they have no own times."""
    config = scorer.config
    if config.own_time is None:
        return {}
    return {
        f"{partition_name((name, day))}@{version.version}": version.knowledge_time.isoformat()
        for name in (read.dataset for read in config.inputs)
        for day, versions in cache.versions(name, config.oldest(name, partition), config.newest(name, partition)).items()
        for version in versions
    }


def _facts(written: PredictionSet) -> dict[str, Any]:
    return {"rows": written.rows, "version": written.version, "challenger_version": written.challenger_version,
            "path": written.path, "origin": written.origin}  # fmt: skip
