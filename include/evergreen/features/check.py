"""Examines each `features.py` by running it: whether it can be executed, and whether its features hold the target, or persons."""

from __future__ import annotations

from collections.abc import Iterator

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.loader import describe, shown_path
from include.evergreen.features.build import code_now, load_code
from include.evergreen.features.lineage import features_from, personal_origins
from include.evergreen.foundation.errors import EvergreenError


def check_features(catalog: Catalog) -> list[str]:
    """Find what is wrong with the models' `features.py` by running them.

    Synthetic rows are computed only for a model that may read its target's dataset of the scored day itself, or a personal column.

    :param catalog: what is declared now, which must be sound
    :returns: a sentence for each problem, which names the file, by model; none when all is well
    """
    problems: list[str] = []
    for name in catalog.model_names():
        try:
            problems += _problems(catalog, catalog.model(name))
        except EvergreenError as error:
            problems.append(str(error).replace(str(catalog.features_path(name)), shown_path(catalog.features_path(name))))
    return problems


def _problems(catalog: Catalog, model: ModelConfig) -> Iterator[str]:
    load_code(code_now(catalog, model))
    target = model.target
    if any(model_input.dataset == target.dataset and not model_input.lag for model_input in model.inputs):
        file = shown_path(catalog.features_path(model.name))
        for feature in features_from(catalog, model, target.dataset, target.column):
            yield (
                f"{file}: feature {feature!r} holds the target: it changes with {target.column} of {target.dataset} of the scored day "
                f"itself, which the model is to predict; compute it from earlier ones (lag: {model.labels.grain.span_of(1)} in "
                f"model.yaml), or leave it out"
            )
    yield from _personal_problems(catalog, model)


def _personal_problems(catalog: Catalog, model: ModelConfig) -> list[str]:
    """What comes from a person's data may show them, unless the declaration says that it does not."""
    unsaid = {
        feature.name: index
        for index, feature in enumerate(model.features)
        if not feature.personal and "personal" not in feature.model_fields_set
    }
    if not unsaid or not any(catalog.dataset(model_input.dataset).personal_columns for model_input in model.inputs):
        return []
    origins = personal_origins(catalog, model)
    return describe(
        catalog.model_path(model.name),
        [
            (
                ("features", index, "name"),
                f"{name!r} changes with {' and '.join(origins[name])}, which is personal; set personal: true, so that no report shows its "
                f"values, or personal: false if they tell nothing of a person, such as a count over many",
            )
            for name, index in unsaid.items()
            if name in origins
        ],
    )
