from __future__ import annotations

import dataclasses
import datetime as dt
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from include.evergreen.config import Catalog, ModelConfig
from include.evergreen.config.gate import Gate
from include.evergreen.data.correct_knowledge import correct_knowledge
from include.evergreen.features import reader
from include.evergreen.foundation import clock
from include.evergreen.foundation.errors import DataError, TransientError
from include.evergreen.foundation.grain import DAILY
from include.evergreen.foundation.span import Span
from include.evergreen.gates.comparators import Comparator, find_comparators
from include.evergreen.gates.decide import decide
from include.evergreen.gates.decision import all_decisions, find_blessing, latest_decision
from include.evergreen.gates.evidence import first_unfitted_day, gather
from include.evergreen.gates.scored import NoComparisonError, Rival
from include.evergreen.promotion.promote import promote_blessed
from include.evergreen.registry import champions
from include.evergreen.registry.versions import ChangedRecordError, RegisteredVersion, version_number
from include.evergreen.state import ledger
from include.evergreen.state.alerts import open_alerts
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates, decisions
from include.evergreen.state.database.tables import ledger as entries
from include.evergreen.training.candidate import Candidate, find_candidate
from include.evergreen.training.recipes import Recipe
from tests.unit.flights import brief, january, lenient, republish, rows_of, strict, trained_as_of, with_other_features

MODULE = importlib.import_module("include.evergreen.gates.decide")
computing = pytest.mark.sqlite_only  # about what is computed, which no database changes
EVIDENCE = importlib.import_module("include.evergreen.gates.evidence")
AS_OF = january(20)


def test_a_first_candidate_has_no_champion_to_be_compared_with_and_must_pass_the_rest(candidate: Candidate, air_time: ModelConfig) -> None:
    decision = decide(Catalog(), air_time, candidate)
    assert (decision.verdict, decision.champion_version, decision.as_of) == ("blessed", 0, january(14))
    verdicts = {each["kind"]: each["verdict"] for each in decision.criteria}
    assert [kind for kind, verdict in verdicts.items() if verdict != "passed"] == ["champion"]
    assert set(verdicts) == {"serving", *(each.kind for each in air_time.gate.criteria)}
    assert "not_applicable: there is no champion" in decision.message


def test_a_decision_is_recorded_once_with_one_entry_in_the_ledger(candidate: Candidate, air_time: ModelConfig) -> None:
    decision = decide(Catalog(), air_time, candidate)
    bodies = _entries("decision")
    assert [(each["verdict"], each["run_key"]) for each in bodies] == [("blessed", decision.run_key)]
    assert bodies[0]["criteria"] == json.loads(json.dumps(decision.criteria))
    assert ledger.verify() == []


def test_in_brief_a_decision_counts_what_passed_and_tells_what_did_not(candidate: Candidate, air_time: ModelConfig) -> None:
    decision = decide(Catalog(), strict(air_time), candidate)
    assert decision.summary == f"1 of 2 criteria passed; failed: {decision.criteria[0]['message']}"


def test_the_same_question_gets_the_same_answer(candidate: Candidate, air_time: ModelConfig) -> None:
    first = decide(Catalog(), lenient(air_time), candidate)
    assert decide(Catalog(), lenient(air_time), candidate) == first
    assert (len(rows_of(decisions)), len(_entries("decision"))) == (1, 1)


def test_a_no_is_recorded_as_well_as_a_yes(candidate: Candidate, air_time: ModelConfig) -> None:
    decision = decide(Catalog(), strict(air_time), candidate)
    assert decision.verdict == "rejected"
    assert [each["verdict"] for each in _entries("decision")] == ["rejected"]
    assert latest_decision("air_time") == decision


@computing
def test_a_candidate_that_cannot_be_measured_is_neither_blessed_nor_rejected(flights: Path, flight_delay: ModelConfig) -> None:
    for day in DAILY.between(january(13), january(19)):  # on the whole holdout, nobody is late
        republish("outcomes", day, lambda frame: frame.assign(arr_delay=frame["arr_delay"] * 0))
    decision = decide(Catalog(), lenient(flight_delay), trained_as_of(flight_delay, AS_OF))
    assert decision.verdict == "not_evaluated"
    assert "not_evaluated: auc could not be measured on the holdout (rows of one class only, or no rows)" in decision.message
    with pytest.raises(DataError, match="has no blessed decision"):
        champions.register("flight_delay", decision.run_key)


@computing
def test_a_candidate_that_is_worse_than_the_champion_is_rejected_with_both_figures(
    challengers: dict[str, Candidate], air_time: ModelConfig
) -> None:
    decision = decide(Catalog(), _against_champion(air_time, margin=0.5), challengers["blunt"])
    result = decision.criteria[0]
    assert (decision.verdict, decision.champion_version) == ("rejected", 1)
    assert result["interval"][1] > result["threshold"] == 0.5
    assert f"mae is {result['details']['candidate']:.4f}, the champion's on the same rows" in result["message"]


@computing
def test_a_candidate_that_is_as_good_as_the_champion_within_the_margin_is_blessed(
    challengers: dict[str, Candidate], air_time: ModelConfig
) -> None:
    decision = decide(Catalog(), _against_champion(air_time, margin=2.0), challengers["newer"])
    assert decision.verdict == "blessed", decision.message


@computing
def test_the_champion_is_measured_on_the_candidates_own_holdout(challengers: dict[str, Candidate], air_time: ModelConfig) -> None:
    champion = champions.champion("air_time")
    assert champion is not None
    decision = decide(Catalog(), _against_champion(air_time, margin=0.5), challengers["newer"])
    on_these_rows = decision.criteria[0]["details"]["other"]
    assert on_these_rows != pytest.approx(champion.metrics["mae"])  # which was measured on older days
    assert 5 < on_these_rows < 15


@computing
def test_a_champion_that_knows_more_is_no_measure_for_a_candidate_of_the_past(
    challengers: dict[str, Candidate], air_time: ModelConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """It was fitted on the very rows of the holdout."""
    decision = decide(Catalog(), _against_champion(air_time, margin=0.5), challengers["14"])
    assert (decision.verdict, decision.criteria[0]["verdict"]) == ("blessed", "not_applicable")
    words = "version 1 was fitted on days before 2013-01-10, which leaves 4 of its 7 days; 5 are needed"
    assert decision.uncompared == f"there is no champion that was not fitted on the holdout ({words}) to compare mae with"
    assert f"1 not applicable; not_applicable: {decision.uncompared}" in decision.summary
    assert [record.levelname for record in caplog.records if words in record.message] == ["WARNING"]


@computing
def test_a_champion_is_compared_where_just_as_many_days_as_are_needed_are_left(
    challengers: dict[str, Candidate], air_time: ModelConfig
) -> None:
    decision = decide(Catalog(), _against_champion(air_time, margin=0.5), challengers["15"])
    assert "the champion's on the same rows, from 2013-01-10 on" in decision.criteria[0]["message"]  # 5 of the 7 days
    assert decision.uncompared == ""


@computing
def test_a_champion_is_compared_on_the_days_that_neither_was_fitted_on(trained: Path, air_time: ModelConfig) -> None:
    """The candidate's holdout begins on the 8th; the champion was fitted on the 8th and the 9th too, and knows these by heart."""
    champion = champions.champion("air_time")
    assert champion is not None
    longer = _with_train(air_time, holdout=Span(9, "day"))
    decision = decide(Catalog(), _against_champion(longer, margin=0.5), trained_as_of(longer, champion.as_of))
    result = decision.criteria[0]
    assert result["details"]["other"] == pytest.approx(champion.metrics["mae"], abs=1e-12)  # on its own holdout: 10 to 16 January
    assert "the champion's on the same rows, from 2013-01-10 on, as it was fitted on days before," in result["message"]
    assert decision.uncompared == ""


def test_a_champion_of_a_release_that_did_not_say_what_it_was_fitted_on_may_know_all_the_days_before(
    trained: Path, air_time: ModelConfig
) -> None:
    champion = champions.champion("air_time")
    assert champion is not None
    with writing() as connection:
        facts = {name: value for name, value in find_candidate(champion.run_key).facts.items() if name != "holdout_first"}
        connection.execute(candidates.update().where(candidates.c.run_key == champion.run_key).values(facts=facts))
    assert first_unfitted_day(champion) == champion.as_of


def test_each_decision_names_the_comparator_of_the_next_which_is_passed_over_when_it_cannot_be_evaluated(
    challengers: dict[str, Candidate], air_time: ModelConfig, caplog: pytest.LogCaptureFixture
) -> None:
    model = _against_champion(air_time, margin=2.0)
    second = find_candidate(all_decisions("air_time")[0].run_key)
    details = decide(Catalog(), model, second).criteria[0]["details"]
    assert (details["compared_with"], details["comparator"]) == (1, 1)  # the champion, as there was none before
    assert champions.register("air_time", second.run_key).version == 2
    champions.promote("air_time", 2, actor="a person", reason="newer")
    champion = champions.champion("air_time")
    assert champion is not None
    unknown = dataclasses.replace(champion, run_key="0" * 64)  # of a release that kept no decision
    assert find_comparators(model.gate, unknown, lambda version: pytest.fail(f"{version} is compared")) == {"mae": Comparator(2)}
    third = challengers["newer"]
    result = decide(Catalog(), model, third).criteria[0]
    assert (result["verdict"], result["details"]["comparator"]) == ("passed", 1)
    assert f"; the comparator, version 1, has {result['details']['comparator_has']:.4f}" in result["message"]

    def of_another_target(version: RegisteredVersion) -> Rival:
        raise NoComparisonError(f"with this target (version {version.version} has another)")

    passed_over = ("there is no comparator with this target (version 1 has another)",)
    assert find_comparators(model.gate, champion, of_another_target) == {"mae": Comparator(2, passed_over=passed_over)}

    blessing = find_blessing(champion.run_key)
    assert blessing is not None
    assert find_blessing(champion.run_key, until=blessing.recorded_at) == blessing
    assert find_blessing(champion.run_key, until=blessing.recorded_at - dt.timedelta(microseconds=1)) != blessing
    with writing() as connection:
        connection.execute(decisions.update().where(decisions.c.id == blessing.id).values(criteria=[]))
    with pytest.raises(ChangedRecordError, match="so its comparator is not known. See `evergreen verify-ledger`"):
        find_comparators(model.gate, champion, of_another_target)
    with writing() as connection:
        connection.execute(decisions.update().where(decisions.c.id == blessing.id).values(criteria=blessing.criteria))

    file = Path(urlsplit(version_number("air_time", 1).artifact_uri).path, "model.skops")
    original = file.read_bytes()
    file.write_bytes(b"another model")
    decision = decide(Catalog(), _against_champion(air_time, margin=2.1), third)
    file.write_bytes(original)
    details = decision.criteria[0]["details"]
    assert (decision.verdict, details["compared_with"], details["comparator"]) == ("blessed", 2, 2)
    assert "version 1 is no comparator, as it cannot be evaluated (ArtifactError: " in details["passed_over"][0]
    assert "version 1 is no comparator" in caplog.text

    champions.rollback("air_time", actor="a person", reason="to try it")
    champions.promote("air_time", 2, actor="a person", reason="after all", force=True)
    champion = champions.champion("air_time")
    assert champion is not None
    assert find_comparators(model.gate, champion, lambda version: pytest.fail(f"{version} is compared")) == {"mae": Comparator(2)}


@computing
def test_the_gate_measures_the_artifact_and_does_not_believe_what_training_said(candidate: Candidate, air_time: ModelConfig) -> None:
    boasting = dataclasses.replace(candidate, metrics={"mae": 0.0, "rmse": 0.0, "r2": 1.0})
    assert decide(Catalog(), air_time, boasting).criteria[0]["value"] == pytest.approx(candidate.metrics["mae"])


@computing
def test_an_artifact_that_was_tampered_with_is_not_evaluated_and_is_judged_again_when_it_is_restored(
    candidate: Candidate, air_time: ModelConfig
) -> None:
    file = Path(urlsplit(candidate.artifact_uri).path, "model.skops")
    original = file.read_bytes()
    file.write_bytes(b"another model")
    broken = decide(Catalog(), lenient(air_time), candidate)
    assert (broken.verdict, broken.attempt) == ("not_evaluated", 1)
    assert "its files were changed" in broken.message
    assert decide(Catalog(), lenient(air_time), candidate) == broken  # the same answer is no new attempt
    file.write_bytes(original)
    again = decide(Catalog(), lenient(air_time), candidate)
    assert (again.verdict, again.attempt) == ("blessed", 2)
    assert [each["verdict"] for each in _entries("decision")] == ["not_evaluated", "blessed"]
    assert ledger.verify() == []


@computing
def test_a_store_that_does_not_answer_records_nothing(candidate: Candidate, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = dataclasses.replace(candidate, artifact_uri="mlflow-artifacts://127.0.0.1:9/model")
    with pytest.raises(TransientError):
        decide(Catalog(), lenient(air_time), elsewhere)
    assert rows_of(decisions) == []


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ({"kind": "slices", "by": "gone", "judge": "worst", "metric": "mae", "at_most": 99}, "has no column 'gone' to make slices by"),
        ({"kind": "behaviour"}, "there is no such file; the behaviour criterion of air_time needs it"),
    ],
)
@computing
def test_a_criterion_that_cannot_be_evaluated_is_no_rejection(
    candidate: Candidate, air_time: ModelConfig, criterion: dict[str, Any], words: str
) -> None:
    decision = decide(Catalog(), _gated(air_time, criterion), candidate)
    assert decision.verdict == "not_evaluated"
    assert words in decision.message
    assert "it could not be evaluated" not in decision.message, "an error of ours says so itself"
    assert champions.champion("air_time") is None


@computing
def test_a_column_that_is_no_feature_makes_slices_as_the_days_knew_it(candidate: Candidate, air_time: ModelConfig) -> None:
    by_destination = {"kind": "slices", "by": "dest", "judge": "worst", "metric": "mae", "at_most": 100}
    decision = decide(Catalog(), _gated(air_time, by_destination), candidate)
    slices = decision.criteria[0]["details"]["slices"]
    assert decision.verdict == "blessed"
    assert "dest=ATL" in [each["slice"] for each in slices]


@computing
def test_the_gates_report_lies_in_the_mlflow_run_and_is_logged_again_by_a_retry(flights: Path, air_time: ModelConfig) -> None:
    candidate = trained_as_of(brief(air_time), january(14))  # a run of its own: MLflow remembers where a run's artifacts lay
    decision = decide(Catalog(), lenient(air_time), candidate)
    folder = Path(urlsplit(candidate.artifact_uri).path).parent / "gate"
    (report,) = folder.iterdir()
    assert decision.criteria[0]["message"] in report.read_text()
    report.unlink()  # as if the process had died before
    decide(Catalog(), lenient(air_time), candidate)
    assert list(folder.iterdir()) == [report]


def test_a_dry_run_evaluates_and_records_all_and_blesses_and_says_what_it_would_have_been(
    candidate: Candidate, air_time: ModelConfig, caplog: pytest.LogCaptureFixture
) -> None:
    dry = strict(air_time)
    dry = dry.model_copy(update={"gate": dry.gate.model_copy(update={"mode": "dry_run"})})
    decision = decide(Catalog(), dry, candidate)
    assert (decision.verdict, decision.mode, decision.would_be) == ("blessed", "dry_run", "rejected")
    assert decision.criteria[0]["verdict"] == "failed"
    assert "the gate's mode is dry_run" in caplog.text
    assert [(each["verdict"], each["mode"]) for each in _entries("decision")] == [("blessed", "dry_run")]


def test_a_disabled_gate_blesses_without_evaluation_and_says_so_in_decision_ledger_and_log(
    candidate: Candidate, air_time: ModelConfig, caplog: pytest.LogCaptureFixture
) -> None:
    off = air_time.model_copy(update={"gate": air_time.gate.model_copy(update={"mode": "disabled"})})
    decision = decide(Catalog(), off, candidate)
    assert (decision.verdict, decision.mode, len(decision.criteria)) == ("blessed", "disabled", 1)
    assert "approved without evaluation" in decision.message
    assert "approved without evaluation" in caplog.text
    assert "approved without evaluation" in _entries("decision")[0]["criteria"][0]["message"]


def test_rejections_in_a_row_make_one_alert_and_a_blessing_resolves_it(three_candidates: list[Candidate], air_time: ModelConfig) -> None:
    found = three_candidates
    for candidate in found[:2]:
        decide(Catalog(), strict(air_time), candidate)
    assert open_alerts("air_time") == []
    decide(Catalog(), strict(air_time), found[2])
    decide(Catalog(), strict(air_time), found[2])  # a retry counts nothing twice
    (alert,) = open_alerts("air_time")
    assert (alert.key, alert.severity, alert.times) == ("rejections/air_time", "warning", 1)
    assert alert.message.startswith("The last 3 candidates of air_time were rejected, the newest as of 2013-01-15")
    blessed = decide(Catalog(), _gated(air_time, {"kind": "absolute", "metric": "mae", "at_most": 1e4}), found[2])
    assert blessed.verdict == "blessed", blessed.message
    assert open_alerts("air_time") == []


def test_a_new_champion_is_a_new_question(challengers: dict[str, Candidate], air_time: ModelConfig) -> None:
    candidate = challengers["newer"]
    first = decide(Catalog(), lenient(air_time), candidate)
    second = champions.register("air_time", all_decisions("air_time")[1].run_key)
    champions.promote("air_time", second.version, actor="a person", reason="newer")
    again = decide(Catalog(), strict(air_time), candidate)
    assert (first.verdict, first.champion_version) == ("blessed", 1)
    assert (again.verdict, again.champion_version) == ("rejected", 2)
    assert [each.id for each in all_decisions("air_time")[:2]] == [again.id, first.id]


def test_a_champion_is_not_judged_against_itself(trained: Path, air_time: ModelConfig) -> None:
    before = len(rows_of(decisions))
    decision = decide(Catalog(), strict(air_time), trained_as_of(air_time, january(17)))
    assert (decision.verdict, decision.champion_version, len(rows_of(decisions))) == ("blessed", 0, before)


def test_a_gate_that_was_killed_before_its_ledger_entry_has_decided_nothing(
    candidate: Candidate, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ledger, "bind", _killed)
        decide(Catalog(), air_time, candidate)
    assert rows_of(decisions) == []
    assert decide(Catalog(), air_time, candidate).verdict == "blessed"
    assert len(_entries("decision")) == 1


def test_two_gates_that_judge_at_once_record_one_decision(
    candidate: Candidate, air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has looked for a decision before the first recorded its own."""
    first = decide(Catalog(), air_time, candidate)
    found = iter([None])
    look = MODULE._find
    monkeypatch.setattr(MODULE, "_find", lambda *asked: next(found, look(*asked)))
    assert decide(Catalog(), air_time, candidate) == first
    assert (len(rows_of(decisions)), len(_entries("decision"))) == (1, 1)


def test_a_decision_that_nobody_took_is_not_found(home: Path) -> None:
    assert latest_decision("air_time") is None


def test_other_criteria_are_another_question(candidate: Candidate, air_time: ModelConfig) -> None:
    assert [decide(Catalog(), each(air_time), candidate).verdict for each in (lenient, strict)] == ["blessed", "rejected"]


@computing
def test_a_champion_with_other_features_is_measured_on_the_same_rows_with_its_own(
    challengers: dict[str, Candidate], air_time: ModelConfig, tmp_path: Path
) -> None:
    same = decide(Catalog(), _against_champion(air_time, margin=0.5), challengers["newer"])
    changed = with_other_features(Catalog(), tmp_path / "include")
    model = changed.model("air_time")
    other = decide(changed, _against_champion(model, margin=0.5), trained_as_of(model, AS_OF, changed))
    assert other.criteria[0]["details"]["other"] == pytest.approx(same.criteria[0]["details"]["other"], abs=1e-9)
    assert other.criteria[0]["details"]["candidate"] == pytest.approx(same.criteria[0]["details"]["candidate"], abs=0.5)


@computing
def test_a_champion_with_another_target_is_no_measure(trained: Path, air_time: ModelConfig) -> None:
    late = air_time.model_copy(update={"target": air_time.target.model_copy(update={"column": "arr_delay"})})
    decision = decide(Catalog(), _against_champion(late, margin=0.5), trained_as_of(late, AS_OF))
    assert decision.criteria[0]["verdict"] == "not_applicable"
    assert "no champion with this target (version 1 has another)" in decision.message


@computing
def test_a_champion_with_features_of_an_older_release_is_no_measure(
    trained: Path, air_time: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can no longer score, and must not hinder the model that takes its place."""
    changed = with_other_features(Catalog(), tmp_path / "include")
    model = changed.model("air_time")
    candidate = trained_as_of(model, AS_OF, changed)
    monkeypatch.setattr(reader, "OLDER_NAMES", {"agg": "as if it were the older name"})
    decision = decide(changed, _against_champion(model, margin=0.5), candidate)
    assert (decision.verdict, decision.criteria[0]["verdict"]) == ("blessed", "not_applicable")
    assert "no champion that can be computed (version 1: air_time: its features call trailing()" in decision.message


@pytest.mark.parametrize("failure", ["artifact", "features", "estimator"])
def test_a_champion_that_cannot_be_computed_is_no_measure_and_an_alert_says_so_until_it_can(
    challengers: dict[str, Candidate], air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: str
) -> None:
    """Though no criterion compares with it, and whatever it fails on."""
    candidate = challengers["newer"]
    champion = champions.champion("air_time")
    assert champion is not None
    with monkeypatch.context() as patch:
        if failure == "artifact":
            Path(urlsplit(champion.artifact_uri).path, "model.skops").rename(tmp_path / "elsewhere")
        elif failure == "features":
            patch.setattr(EVIDENCE, "own_features", _raise)
            patch.setattr(EVIDENCE, "recipe_of_version", _with_other_text(EVIDENCE.recipe_of_version, champion))
        else:
            predictions = EVIDENCE._predictions
            patch.setattr(EVIDENCE, "_predictions", lambda *given: _raise() if given[-1] == "version 1" else predictions(*given))
        decision = decide(Catalog(), lenient(air_time), candidate)
    assert (decision.verdict, [criterion["kind"] for criterion in decision.criteria]) == ("blessed", ["absolute", "comparison", "serving"])
    assert "there is no champion that can be computed (version 1: " in decision.criteria[1]["message"]
    [alert] = open_alerts("air_time")
    assert (alert.key, alert.severity) == ("comparison/air_time", "critical")
    assert decision.criteria[1]["message"] in alert.message

    if failure != "artifact":
        again = decide(Catalog(), _against_champion(air_time, margin=0.5), candidate)
        assert again.criteria[0]["verdict"] in ("passed", "failed")
        assert open_alerts("air_time") == []


@computing
def test_a_later_correction_of_what_was_known_does_not_change_what_a_candidate_is_compared_with(
    challengers: dict[str, Candidate], air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, champion = challengers["newer"], champions.champion("air_time")
    assert champion is not None
    monkeypatch.setattr(EVIDENCE, "recipe_of_version", _with_other_text(EVIDENCE.recipe_of_version, champion))
    catalog = Catalog()
    before = gather(catalog, air_time, candidate, champion)
    day = str(before.holdout["partition"].iloc[-1])
    rows = catalog.dataset(air_time.rows)
    correct_knowledge(rows, day, day, known_at=clock.now(), actor="ann", reason="it came late")
    republish(air_time.rows, january(17), lambda frame: frame.iloc[1:])  # by the rule, this too was known then
    after = gather(catalog, air_time, candidate, champion)
    assert before.champion is not None
    assert after.champion is not None, after.why_no_champion
    assert after.champion.everywhere.predicted.tolist() == before.champion.everywhere.predicted.tolist()
    assert after.column("flight").equals(before.column("flight"))


def test_a_blessing_without_comparison_is_judged_again_once_the_champion_is_mended(
    challengers: dict[str, Candidate], air_time: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _against_champion(air_time, margin=0.5)
    candidate = challengers["blunt"]
    predictions = EVIDENCE._predictions
    with monkeypatch.context() as patch:
        patch.setattr(EVIDENCE, "_predictions", lambda *given: _raise() if given[-1] == "version 1" else predictions(*given))
        uncompared = decide(Catalog(), model, candidate)
        assert (uncompared.verdict, decide(Catalog(), model, candidate)) == ("blessed", uncompared)
    version = champions.register("air_time", candidate.run_key)

    outcome = promote_blessed(Catalog(), model, version.version, actor="the night", reason="it is blessed")
    assert (outcome.promoted, outcome.version) == (False, 1)
    assert "was blessed, but not against the current champion 1: 1 of 2 criteria passed; failed: mae is" in outcome.message
    assert [(each.attempt, each.verdict) for each in all_decisions("air_time")[:2]] == [(2, "rejected"), (1, "blessed")]
    assert open_alerts("air_time") == []
    with pytest.raises(champions.ChampionChangedError, match=f"was judged again since decision {uncompared.id}"):
        champions.promote_judged(version, uncompared.id, actor="the night", reason="it is blessed")
    assert champions.promote("air_time", version.version, actor="ann", reason="I answer for it", force=True).promoted


def _raise(*_: object) -> None:
    raise KeyError("wind_speed")


def _with_other_text(find: Callable[..., Recipe], champion: champions.RegisteredVersion) -> Callable[..., Recipe]:
    """The champion's recipe has another features.py than the candidate's."""

    def found(catalog: Catalog, model: ModelConfig, trained: Any) -> Recipe:
        recipe = find(catalog, model, trained)
        if trained.run_key != champion.run_key:
            return recipe
        return dataclasses.replace(recipe, document={**recipe.document, "features.py": recipe.document["features.py"] + "\n"})

    return found


def _against_champion(model: ModelConfig, margin: float) -> ModelConfig:
    return _gated(model, {"kind": "champion", "metric": "mae", "margin": margin})


def _gated(model: ModelConfig, *criteria: dict[str, Any]) -> ModelConfig:
    return model.model_copy(update={"gate": Gate.model_validate({"criteria": criteria})})


def _with_train(model: ModelConfig, **changes: Any) -> ModelConfig:
    return model.model_copy(update={"train": model.train.model_copy(update=changes)})


def _entries(kind: str) -> list[dict[str, Any]]:
    return [json.loads(str(row.body)) for row in rows_of(entries) if row.kind == kind]


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
