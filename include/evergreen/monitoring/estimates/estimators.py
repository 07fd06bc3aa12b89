"""Estimates a window by each estimator of its task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from include.evergreen.config import ModelConfig
from include.evergreen.monitoring.estimates.choice import ESTIMATORS
from include.evergreen.monitoring.estimates.classification import Classified
from include.evergreen.monitoring.estimates.density_ratio import density_ratio, tempered
from include.evergreen.monitoring.estimates.design import Design
from include.evergreen.monitoring.estimates.estimate import Estimate
from include.evergreen.monitoring.estimates.multiclass import ClassifiedOfSeveral
from include.evergreen.monitoring.estimates.regression import Losses
from include.evergreen.monitoring.estimates.rows import Reference, Rows
from include.evergreen.monitoring.estimates.units import Units
from include.evergreen.serving.inference import one_thread
from include.evergreen.serving.likeliest import values
from include.evergreen.training.metrics import Measures

LEAST_PROBABILITY = 1e-6  # of a score, before its logarithm


def estimate_all(model: ModelConfig, measures: Measures, reference: Reference, rows: Rows) -> dict[str, dict[str, Estimate]]:
    """Estimate by each estimator of the task; equal rows give equal bits. Passes on `NotEstimatedError`.

    :param model: the model, as the version's recipe declares it; its gate says whether days are units
    :param measures: the version's metrics
    :param reference: rows that it was not fitted on, with labels
    :param rows: of the window
    :returns: by estimator, the metrics that have an expectation and that the window defines
    """
    units = Units.of(reference.day, by_days=model.gate.resample == "days")
    with one_thread():
        return _OF_TASK[model.task](measures, reference, units, rows)


def _classification(measures: Measures, reference: Reference, units: Units, rows: Rows) -> dict[str, dict[str, Estimate]]:
    weighted, plain = ESTIMATORS["classification"]
    known, scored = _log_odds(reference.predicted), _log_odds(rows.predicted)
    design = Design(reference.features, known)
    weights = tempered(density_ratio(design.matrix(reference.features, known), design.matrix(rows.features, scored)), units)
    return Classified(measures, reference, units).estimate(rows, {weighted: weights, plain: np.ones(len(weights))})


def _multiclass(measures: Measures, reference: Reference, units: Units, rows: Rows) -> dict[str, dict[str, Estimate]]:
    weighted, plain = ESTIMATORS["multiclass"]
    measures = replace(measures, classes=reference.classes or measures.classes)
    known, scored = (_log_odds(values(predicted)[:, 0]) for predicted in (reference.predicted, rows.predicted))
    design = Design(reference.features, known)
    weights = tempered(density_ratio(design.matrix(reference.features, known), design.matrix(rows.features, scored)), units)
    return ClassifiedOfSeveral(measures, reference, units).estimate(rows, {weighted: weights, plain: np.ones(len(weights))})


def _regression(measures: Measures, reference: Reference, units: Units, rows: Rows) -> dict[str, dict[str, Estimate]]:
    """A model of losses would go far beyond few days along a feature that has one value on each of them."""
    weighted, plain = ESTIMATORS["regression"]
    design = Design(reference.features, reference.predicted, units)
    known, window = design.matrix(reference.features, reference.predicted), design.matrix(rows.features, rows.predicted)
    weights = tempered(density_ratio(known, window), units)
    return Losses(measures, reference, known, units).estimate(window, rows.days, {weighted: weights, plain: None})


_OF_TASK = {"classification": _classification, "multiclass": _multiclass, "regression": _regression}


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    """In which a difference means the same near 0 as near a half."""
    clipped = probabilities.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    odds: np.ndarray = np.log(clipped / (1 - clipped))
    return odds
