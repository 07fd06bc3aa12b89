"""Examines each `features.py` by running it: whether it can be executed, and whether its features hold the target."""

from __future__ import annotations

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.loader import shown_path
from include.evergreen.features.build import code_now, load_code
from include.evergreen.features.lineage import features_from
from include.evergreen.foundation.errors import EvergreenError


def check_features(catalog: Catalog) -> list[str]:
    """Find what is wrong with the models' `features.py` by running them.

    Synthetic rows are computed only for a model that may read its target's dataset of the scored day itself.

    :param catalog: what is declared now, which must be sound
    :returns: a sentence for each problem, which names the file, by model; none when all is well
    """
    problems = []
    for name in catalog.model_names():
        try:
            problems += _problems(catalog, catalog.model(name))
        except EvergreenError as error:
            problems.append(str(error).replace(str(catalog.features_path(name)), shown_path(catalog.features_path(name))))
    return problems


def _problems(catalog: Catalog, model: ModelConfig) -> list[str]:
    load_code(code_now(catalog, model))
    target = model.target
    if not any(model_input.dataset == target.dataset and model_input.lag_days == 0 for model_input in model.inputs):
        return []
    file = shown_path(catalog.features_path(model.name))
    return [
        f"{file}: feature {feature!r} holds the target: it changes with {target.column} of {target.dataset} of the scored day itself, "
        f"which the model is to predict; compute it from earlier days (lag_days: 1 in model.yaml), or leave it out"
        for feature in features_from(catalog, model, target.dataset, target.column)
    ]
