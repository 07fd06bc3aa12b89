from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from include.evergreen.config import Catalog
from include.evergreen.config.card import Card
from include.evergreen.foundation.errors import ConfigError, DataError
from include.evergreen.gates.decision import all_decisions
from include.evergreen.gates.report import markdown
from include.evergreen.operations.maintenance import Limits, records_without_files, remove_orphans
from include.evergreen.promotion.cards import ensure_card, read_card
from include.evergreen.promotion.cards.facts import Facts, gather
from include.evergreen.promotion.cards.write import card_path, render
from include.evergreen.registry.champions import RegisteredVersion
from include.evergreen.state import storage
from include.evergreen.state.database import writing
from include.evergreen.state.database.tables import candidates, model_versions
from include.evergreen.state.mlflow_store import mlflow_client
from tests.unit.flights import registered_as_of, rows_of
from tests.unit.lifecycle import MODEL, day, include_with

VOID = {"meta", "line", "rect", "circle", "polyline", "br", "path"}


class Page(HTMLParser):
    """Elements in their order, and what is wrong with how they are closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.texts: list[tuple[str, str]] = []  # the innermost element, and a text in it
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.append((self.open[-1], " ".join(data.split())))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def facts_of(version: RegisteredVersion) -> Facts:
    catalog = Catalog()
    return gather(catalog, catalog.model(MODEL), version)


# --- when it is written ---------------------------------------------------------------------------------------------


def test_a_registered_version_has_a_card_in_the_storage_and_the_same_in_its_mlflow_run(version: RegisteredVersion, card: str) -> None:
    path = mlflow_client().download_artifacts(version.mlflow_run_id, "model-card.html")
    assert Path(path).read_text() == card


def test_the_same_facts_give_the_same_bytes(version: RegisteredVersion, card: str) -> None:
    assert render(facts_of(version)).decode() == card


def test_a_card_that_is_there_is_not_written_again(version: RegisteredVersion, card: str) -> None:
    before = storage.find(card_path(MODEL, version.version) or "")
    catalog = Catalog()
    assert ensure_card(catalog, catalog.model(MODEL), version) == card_path(MODEL, version.version)
    assert storage.find(card_path(MODEL, version.version) or "") == before


def test_a_lost_card_is_named_by_maintenance_and_comes_back_as_it_was(version: RegisteredVersion, card: str) -> None:
    path = card_path(MODEL, version.version)
    assert path
    storage.remove(path)
    (lost,) = [each for each in records_without_files() if each.path == path]
    assert lost.subject == f"{MODEL} version 1: its model card"
    assert f"card {MODEL} 1" in lost.fix
    catalog = Catalog()
    assert ensure_card(catalog, catalog.model(MODEL), version) == path
    assert storage.read_bytes(path).decode() == card


def test_a_card_that_was_written_and_not_recorded_is_found_again_and_leaves_no_second(version: RegisteredVersion, card: str) -> None:
    with writing() as connection:
        connection.execute(model_versions.update().values(card_path=""))
    catalog = Catalog()
    path = ensure_card(catalog, catalog.model(MODEL), version)
    assert card_path(MODEL, version.version) == path
    assert [file.path for file in storage.files("cards") if file.path.endswith(".html")] == [path]


def test_maintenance_keeps_a_recorded_card_with_what_lies_beside_it_and_removes_others(version: RegisteredVersion) -> None:
    kept = {file.path for file in storage.files("cards")}
    storage.write_bytes(f"cards/{MODEL}/1-0000000000000000.html", b"of a process that was killed")
    remove_orphans(Catalog(), Limits(grace_hours=0))
    assert {file.path for file in storage.files("cards")} == kept
    assert {path.partition(".html")[2] for path in kept} == {"", ".importances.json", ".origins.json"}


def test_a_card_that_was_changed_is_not_read(version: RegisteredVersion, card: str) -> None:
    path = card_path(MODEL, version.version) or ""
    assert read_card(path).decode() == card
    storage.write_bytes(path, card.replace("auc", "AUC").encode())
    with pytest.raises(DataError, match="was changed after it was written"):
        read_card(path)


@pytest.mark.usefixtures("permuted_once")
def test_the_next_version_with_these_features_takes_their_origins_from_the_card_before(
    version: RegisteredVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.evergreen.promotion.cards import origins

    tried = facts_of(version).origins

    def refuse(*_: object) -> None:
        raise AssertionError("it was tried again")

    monkeypatch.setattr(origins, "lineage", refuse)
    catalog = Catalog()
    later = registered_as_of(catalog.model(MODEL), day(21))
    assert facts_of(later).origins == tried
    assert tried.of
    assert tried.of["distance"][0].description == "schedules.distance, day 0"


@pytest.mark.usefixtures("permuted_once")
def test_origins_are_tried_again_when_a_dataset_is_declared_otherwise(
    version: RegisteredVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = facts_of(version).origins
    file = include_with(tmp_path, monkeypatch) / "datasets" / "weather" / "dataset.yaml"
    file.write_text(file.read_text().replace("description: ", "description: Now "))
    assert facts_of(version).origins.key != before.key


# --- what it looks like ---------------------------------------------------------------------------------------------


def test_a_card_is_sound_html_that_loads_nothing_runs_nothing_and_needs_no_inline_style(card: str) -> None:
    page = Page(card)
    assert page.wrong == []
    assert page.open == []
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "form"}
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
        assert "src" not in attributes
    assert "@import" not in card
    assert "url(" not in card
    assert len(card) < 100_000


def test_plots_are_named_and_tables_have_headers(card: str) -> None:
    page = Page(card)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in page.elements:
        if tag == "svg" and attributes.get("aria-hidden") != "true":
            assert set(str(attributes["aria-labelledby"]).split()) <= set(identifiers)
        if tag == "th":
            assert attributes.get("scope") in {"row", "col"}
        if tag == "section":
            assert attributes["aria-labelledby"] in identifiers
    assert sum(tag == "svg" and "role" in attributes for tag, attributes in page.elements) == 2


@pytest.mark.parametrize("said", [True, False])
def test_no_section_is_empty_whether_or_not_model_yaml_says_anything(facts: Facts, *, said: bool) -> None:
    if not said:
        facts = replace(facts, config=facts.config.model_copy(update={"card": Card()}))
    page = Page(render(facts).decode())
    heads = [number for number, (tag, _) in enumerate(page.texts) if tag in {"h2", "h3"}]
    for head, after in zip(heads, [*heads[1:], len(page.texts)], strict=True):
        assert after - head > 1, f"nothing under {page.texts[head][1]!r}"
    assert not [text for _, text in page.texts if text in {"None", "nan", "[]", "{}"}]
    assert ("Its owners did not state" in " ".join(text for _, text in page.texts)) != said


def test_what_people_wrote_is_escaped(facts: Facts) -> None:
    card = Card(purpose="<script>alert(1)</script>", limits=("a & b",))
    html = render(replace(facts, config=facts.config.model_copy(update={"card": card}))).decode()
    assert "<script>" not in html
    assert "a &amp; b" in html


# --- what it says ---------------------------------------------------------------------------------------------------


def test_a_card_names_what_the_records_name(version: RegisteredVersion, card: str) -> None:
    (candidate,) = rows_of(candidates)
    texts = " ".join(text for _, text in Page(card).texts)
    for said in (
        version.run_key and candidate.snapshot_digest,
        version.mlflow_run_id,
        version.artifact_digest,
        version.recipe_digest,
        f"reproduce {MODEL} 1",
        f"snapshot verify {candidate.snapshot_digest[:12]}",
        "as of 2013-01-20",
        "There was no champion at the time",
        "schedules.distance, day 0",
        candidate.facts["environment"]["lock"],
    ):
        assert str(said) in texts
    (decision,) = all_decisions(MODEL)
    for criterion in decision.criteria:
        assert criterion["message"].rstrip(".") in texts.replace("&#39;", "'")


def test_the_intervals_of_metrics_are_those_that_the_gate_recorded(facts: Facts) -> None:
    shown = {each.name: each for each in facts.holdout.metrics}
    judged = [each for each in facts.decision.criteria if each["kind"] == "absolute"]
    assert judged
    for each in judged:
        assert shown[each["metric"]].value == each["value"]
        assert list(shown[each["metric"]].interval or ()) == list(each["interval"])


def test_importances_find_what_the_made_up_delays_follow(facts: Facts) -> None:
    found = [each.feature for each in facts.holdout.importances]
    assert set(found[:2]) == {"departure_hour", "carrier"}
    assert len(found) == len(Catalog().model(MODEL).features)


def test_rows_that_were_set_aside_are_counted(facts: Facts) -> None:
    three = replace(facts, read=(replace(facts.read[0], quarantined=3), *facts.read[1:]))
    assert "3 rows of these partitions failed an expectation and were set aside: the model never saw them." in render(three).decode()
    assert "No row of these partitions was set aside" in render(facts).decode()


def test_groups_of_few_rows_are_pooled_and_those_of_a_personal_feature_not_shown(facts: Facts) -> None:

    def slices(by: str, *found: tuple[str, int]) -> dict[str, object]:
        rows = [
            {
                "slice": f"{by}={value}",
                "rows": rows,
                "value": 0.7,
                "interval": [0.6, 0.8],
                "champion": 0.65,
                "judged": rows >= 100 or rows == 19,
            }
            for value, rows in found
        ]
        return {"kind": "slices", "metric": "auc", "value": 0.7, "threshold": 0.5, "verdict": "passed", "message": f"by {by}",
                "interval": None, "details": {"by": by, "slices": rows}}  # fmt: skip

    criteria = [slices("carrier", ("AA", 400), ("B6", 60), ("ZZ", 19), ("YY", 1)), slices("origin", ("EWR", 400), ("Ada Lovelace", 300))]
    features = tuple(each.model_copy(update={"personal": True}) if each.name == "origin" else each for each in facts.config.features)
    html = render(
        replace(facts, decision=replace(facts.decision, criteria=criteria), config=facts.config.model_copy(update={"features": features}))
    ).decode()
    assert "carrier=AA" in html
    assert "3 groups with too few rows to be judged (80 rows together)." in html
    for hidden in ("carrier=B6", "carrier=ZZ", "carrier=YY", "Lovelace", "origin=EWR"):
        assert hidden not in html
    assert "2 groups not shown, as origin is personal (700 rows together)." in html
    assert html.count("too few rows to be judged") == 2, "in the table of carriers, and among the limits"
    assert "Features that carry personal data: origin." in html
    criteria[1]["details"]["smallest_group"] = 20  # type: ignore[index]  # declared so: the decision holds no group of fewer
    allowed = replace(facts, decision=replace(facts.decision, criteria=criteria))
    assert "origin=EWR" in render(allowed).decode()


def test_a_group_that_has_rows_enough_and_no_value_is_not_said_to_have_too_few(facts: Facts) -> None:
    one_class = {"slice": "carrier=AA", "rows": 400, "value": None, "interval": None, "champion": None, "judged": False}
    criterion = {"kind": "slices", "metric": "auc", "value": 0.7, "threshold": 0.5, "verdict": "passed", "message": "by carrier",
                 "interval": None, "details": {"by": "carrier", "slices": [one_class]}}  # fmt: skip
    html = render(replace(facts, decision=replace(facts.decision, criteria=[criterion]))).decode()
    assert "1 group with too few rows, or without a value, to be judged (400 rows together)." in html
    assert "not judged: too few rows, or no value" in markdown(replace(facts.decision, criteria=[criterion]))


def test_the_card_of_a_version_describes_its_own_features_and_not_those_declared_now(
    version: RegisteredVersion, card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = include_with(tmp_path, monkeypatch)
    declared, code = include / "models" / MODEL / "model.yaml", include / "models" / MODEL / "features.py"
    declared.write_text("".join(line for line in declared.read_text().splitlines(keepends=True) if "visib_1d" not in line))
    code.write_text("".join(line for line in code.read_text().splitlines(keepends=True) if "visib_1d" not in line))
    assert "visib_1d" not in [each.name for each in Catalog().model(MODEL).features]
    assert render(facts_of(version)).decode() == card


def test_a_card_tells_who_must_approve_and_why(facts: Facts) -> None:
    assert "No approval was required" in render(facts).decode()
    asked = render(replace(facts, approval_because="it is the first model")).decode()
    assert "It may serve only once a person approves it: it is the first model." in asked


def test_a_gate_that_did_not_judge_is_said_so(facts: Facts) -> None:
    assert "The gate was in dry run" in render(replace(facts, decision=replace(facts.decision, mode="dry_run"))).decode()
    disabled = render(replace(facts, decision=replace(facts.decision, mode="disabled", criteria=[]))).decode()
    assert "The gate was disabled" in disabled
    assert "No gate criterion evaluates groups of rows" in disabled


def test_tuning_is_told_with_its_trials(facts: Facts) -> None:
    tuned = replace(facts, training={**facts.training, "tuning": {"trials": [{}, {}, {}], "metric": "auc"}})
    assert "3 trials on time-ordered folds, by auc" in render(tuned).decode()


@pytest.mark.usefixtures("permuted_once")
@pytest.mark.parametrize("kind", [ConfigError, DataError])
def test_origins_that_cannot_be_tried_are_a_sentence_and_no_failure(
    version: RegisteredVersion, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    from include.evergreen.promotion.cards import origins

    def fail(*_: object) -> None:
        raise kind("features() failed on synthetic rows")

    monkeypatch.setattr(origins, "_kept", lambda *_: None)
    monkeypatch.setattr(origins, "lineage", fail)
    html = render(facts_of(version)).decode()
    assert "Where they come from could not be tried: features() failed on synthetic rows" in html


@pytest.mark.usefixtures("permuted_once")
def test_origins_that_are_kept_in_a_damaged_file_are_tried_again(version: RegisteredVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.evergreen.promotion.cards import origins

    kept, tried = f"{card_path(MODEL, version.version)}.origins.json", facts_of(version).origins
    again: list[object] = []
    monkeypatch.setattr(origins, "lineage", lambda *_: again.append(1) or tried.of)
    whole = storage.read_bytes(kept)
    damages = [b"", whole[:-9], b"{}", b"[]", b"\xff", whole.replace(b"newest_day", b"newest")]
    for damaged in damages:
        storage.write_bytes(kept, damaged)
        assert facts_of(version).origins == tried
    assert len(again) == len(damages)
    storage.write_bytes(kept, whole)


def test_what_is_kept_of_the_origins_is_plain_json_beside_the_card(version: RegisteredVersion) -> None:
    document = json.loads(storage.read_bytes(f"{card_path(MODEL, version.version)}.origins.json"))
    assert document["origins"]["carrier"] == [{"dataset": "schedules", "columns": ["carrier"], "newest_day": 0, "oldest_day": 0}]
