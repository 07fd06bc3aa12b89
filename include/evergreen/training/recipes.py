"""Recipes (training specs): what, besides the data, defines a training. Each version keeps its own, and computes its own features.

So `features.py` and model.yaml may change at any time: the champion still gets what it was trained on, until another one serves.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.base import RECORDED
from include.evergreen.config.calendar import Calendar
from include.evergreen.config.metrics import METRICS
from include.evergreen.features.build import FeatureCode, features_source
from include.evergreen.features.reader import EDITION
from include.evergreen.foundation import clock
from include.evergreen.foundation.digest import canonical_json, document_digest
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.foundation.grain import DAILY, Grain
from include.evergreen.foundation.team_code import Modules, modules_beside
from include.evergreen.registry.versions import RegisteredVersion, refuse_changed
from include.evergreen.state.database import reading
from include.evergreen.state.database.tables import recipes
from include.evergreen.state.database.upsert import insert_once
from include.evergreen.training.candidate import Candidate, find_candidate

DECLARED = ("task", "rows", "scored_at", "inputs", "target", "features", "train", "metrics")
WITHOUT_EFFECT = {"schedule", "run_in", "docker", "trusted_types"}  # of train: they change nothing that is learnt
ADDED_LATER = {  # of target, as recipes name them: with their defaults they change no signature of before
    "positive": "positive",
    "classes": "classes",
    "min_class_rows": "min_class_rows",
    "within": "within_days",
    "absent": "absent",
}
FEATURES = "features.py"
MODULES = "modules"  # beside it; there is no such key when there is none
GRAINS = "grains"  # of the datasets that it reads, where their partitions are no days of UTC; nor is there this one, else
CRONS = "crons"  # of those whose schedule leaves partitions out, where the model counts some of its partitions; as above
EDITION_FACT = "features_edition"  # among the facts of a candidate


@dataclass(frozen=True)
class Recipe:
    """``document`` holds ``declared`` (keys of model.yaml without defaults) and the team's code; ``digest`` is its SHA-256.

    ``edition`` is that of our own by which the version that it belongs to computes its features.
    """

    digest: str
    model: str
    document: dict[str, Any]
    edition: int = EDITION

    @property
    def code(self) -> FeatureCode:
        """The features.py of this recipe."""
        place = f"features.py of recipe {self.digest[:12]} of {self.model}"
        return FeatureCode(self.document[FEATURES], place, self.edition, self.modules)

    @property
    def modules(self) -> Modules:
        """The modules in the model's folder that features.py and the model's own metrics import."""
        return tuple(self.document.get(MODULES, {}).items())

    def grain_of(self, dataset: str) -> Grain:
        """Look up the grain that a dataset had when the recipe was made.

        :param dataset: one that the recipe reads
        :returns: its grain; days, where the recipe names none
        """
        return Grain(**self.document.get(GRAINS, {}).get(dataset, {}))

    def calendar_of(self, dataset: str) -> Calendar:
        """Look up which partitions a dataset had when the recipe was made.

        :param dataset: one that the recipe reads
        :returns: its calendar; each day, where the recipe says nothing of it
        """
        return Calendar(self.grain_of(dataset), self.document.get(CRONS, {}).get(dataset))

    @property
    def features_digest(self) -> str:
        """Of all that decides which features a row gets: equal digests, equal features."""
        said = self.document["declared"]
        declared = {name: said.get(name) for name in ("rows", "inputs", "features")}
        declared |= {"scored_at": said["scored_at"]} if "scored_at" in said else {}
        code = {name: self.document[name] for name in (FEATURES, MODULES, GRAINS, CRONS) if name in self.document}
        return document_digest({"declared": declared, **code, "edition": self.edition})

    def config(self, now: ModelConfig) -> ModelConfig:
        """Restore the model that the recipe declares.

        :param now: the model as it is declared now
        :returns: a model with the recipe's `DECLARED` keys, and with the others, and those of ``train`` that change nothing learnt, of now
        """
        declared = dict(self.document["declared"])
        current = now.model_dump(mode="json", exclude_defaults=True)
        kept_out = {name: value for name, value in current["train"].items() if name in WITHOUT_EFFECT}
        train = {"train": {**declared["train"], **kept_out}}
        rest = {name: value for name, value in current.items() if name not in DECLARED}
        return ModelConfig.model_validate({**rest, **declared, **train}, context=RECORDED).with_calendars(self.calendar_of)


def build_recipe(catalog: Catalog, model: ModelConfig) -> Recipe:
    """Make the recipe of what is declared now. A default counts as not said, so a new key with a default changes no digest.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: the recipe, which is not kept yet
    """
    declared = model.model_dump(mode="json", include=set(DECLARED), exclude_defaults=True, context=RECORDED)
    declared["train"] = {name: value for name, value in declared["train"].items() if name not in WITHOUT_EFFECT}
    document = {"declared": declared, FEATURES: features_source(catalog, model)}
    if modules := modules_now(catalog, model):
        document[MODULES] = dict(modules)
    read = sorted({model.target.dataset, *(model_input.dataset for model_input in model.inputs)})
    if grains := {name: asdict(grain) for name in read if (grain := model.grain_of(name)) != DAILY}:
        document[GRAINS] = grains
    if model.counts_partitions and (crons := {name: cron for name in read if (cron := model.calendar_of(name).cron)}):
        document[CRONS] = crons
    return Recipe(document_digest(document), model.name, document)


def modules_now(catalog: Catalog, model: ModelConfig) -> Modules:
    """Read the modules in the model's folder that a recipe of now holds.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :returns: name and text of those that features.py and the model's own metrics import, by name
    """
    functions = (f"import {own.function.rpartition('.')[0]}" for own in model.metrics.own)
    return modules_beside(catalog.features_path(model.name).parent, features_source(catalog, model), *functions)


def restore_config(catalog: Catalog, recipe: Recipe) -> ModelConfig:
    """Restore the model that a recipe declares, even one that is retired or broken now.

    :param catalog: what is declared now
    :param recipe: one that was kept, of any age
    :returns: as `Recipe.config`; of a model that cannot be loaded now, with nothing besides what the recipe declares, and a gate that
        nobody declared
    """
    try:
        return recipe.config(catalog.model(recipe.model))
    except ConfigError:
        declared = recipe.document["declared"]
        criterion = {"kind": "absolute", "metric": next(iter(METRICS[declared["task"]])), "at_least": 0}
        unlearnt = {"name": recipe.model, "description": "", "owner": "", "gate": {"criteria": [criterion]}}
        return ModelConfig.model_validate({**unlearnt, **declared}, context=RECORDED).with_calendars(recipe.calendar_of)


def keep_recipe(connection: sa.Connection, recipe: Recipe) -> None:
    """Keep a recipe for the candidates that name it; one that is kept already stays as it is.

    :param connection: of the caller's writing transaction; nothing is committed here
    :param recipe: the recipe that was trained by
    """
    values = {"model": recipe.model, "document": canonical_json(recipe.document), "recorded_at": clock.now()}
    insert_once(connection, recipes, {"digest": recipe.digest}, values)


def signature_digest(model: ModelConfig) -> str:
    """Digest what a fitted model takes and gives: the features' names and kinds, and the target.

    :param model: the model, as it is declared
    :returns: SHA-256, in hex; another one means a new major version
    """
    features = [(feature.name, feature.kind) for feature in model.features]
    declared = model.target.model_dump(context=RECORDED)
    unsaid = {key for name, key in ADDED_LATER.items() if getattr(model.target, name) == type(model.target).model_fields[name].default}
    target = {name: value for name, value in declared.items() if name not in unsaid}
    return document_digest({"features": features, "target": target})


def recipe_of_version(catalog: Catalog, model: ModelConfig, trained: Candidate | RegisteredVersion) -> Recipe:
    """The kept recipe of a candidate or version; for one that an older release trained, which kept none, what is declared now.

    It is code that will be run, so the records that name it are compared with the ledger first. Passes on `ChangedRecordError` when
    they differ, and besides what `find_recipe` raises.

    :param catalog: what is declared now
    :param model: the model as it is declared now
    :param trained: the candidate, or the registered version
    :returns: the recipe by which its features are computed
    :raises ConfigError: when no recipe is kept, and other features or another target are declared now
    """
    refuse_changed(trained.run_key)
    edition = trained_edition(trained if isinstance(trained, Candidate) else find_candidate(trained.run_key))
    if kept := find_recipe(trained.recipe_digest):
        return replace(kept, edition=edition)
    if trained.signature_digest != signature_digest(model):
        raise ConfigError(
            f"{model.name}: the version was trained by a release that kept no recipe, on other features, or another target, than "
            f"model.yaml declares now; it cannot score with these. Train and promote a version with the new ones, or take the change back."
        )
    return replace(build_recipe(catalog, model), edition=edition)


def trained_edition(candidate: Candidate) -> int:
    """Say by which of our editions a candidate's features were computed, and are for as long as it is asked for.

    :param candidate: the candidate as it was recorded
    :returns: the number; 1 of one that was trained before there were any others
    """
    return int(candidate.facts.get(EDITION_FACT, 1))


def find_recipe(digest: str) -> Recipe | None:
    """Look up a kept recipe, and verify it: its text is code, and would be run.

    :param digest: the SHA-256 of the recipe's document, in hex
    :returns: the recipe; None when none with this digest is kept
    :raises DataError: when its text was changed in the database
    """
    with reading() as connection:
        row = connection.execute(recipes.select().where(recipes.c.digest == digest)).first()
    if row is None:
        return None
    if (actual := hashlib.sha256(row.document.encode()).hexdigest()) != digest:
        raise DataError(
            f"{row.model}: recipe {digest[:12]} was changed in the database: its digest is now {actual[:12]}. Nothing of it is run. "
            f"Restore it from a backup, or train a new version."
        )
    return Recipe(row.digest, row.model, json.loads(row.document))
