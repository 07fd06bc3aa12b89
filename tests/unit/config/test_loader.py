from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from include.evergreen import PROJECT_ROOT
from include.evergreen.config.loader import load_dataset, load_model
from include.evergreen.foundation.errors import ConfigError

Change = Callable[..., Path]


def problems(load: Callable[[Path], object], path: Path) -> list[str]:
    """What loading complains of, a line each, without the file's path."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("path", sorted(PROJECT_ROOT.glob("include/datasets/*/dataset.yaml")), ids=str)
def test_every_shipped_dataset_loads(path: Path) -> None:
    assert load_dataset(path).name == path.parent.name


@pytest.mark.parametrize("path", sorted(PROJECT_ROOT.glob("include/models/*/model.yaml")), ids=str)
def test_every_shipped_model_loads(path: Path) -> None:
    assert load_model(path).name == path.parent.name


def test_a_sound_file_says_what_it_says(include: Path) -> None:
    dataset = load_dataset(include / "datasets/sales/dataset.yaml")
    assert dataset.schedule.start == dt.date(2024, 1, 1)
    assert [column.name for column in dataset.columns] == ["shop", "amount"]


def test_variables_are_never_expanded_when_a_file_is_loaded(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING", "/landing")
    monkeypatch.setenv("NOT_A_VARIABLE", "expanded")
    dataset = load_dataset(include / "datasets/sales/dataset.yaml")
    assert dataset.source.path == "${LANDING}/sales/{partition}.csv"
    assert dataset.columns[1].description == "Amount, ${NOT_A_VARIABLE}"


class TestAProblemNamesItsLineAndWhatIsAllowed:
    def test_unknown_key(self, change_model: Change) -> None:
        assert problems(load_model, change_model("window: 60 days", "windoww: 60 days")) == [
            "12: train.windoww: unknown key 'windoww'; did you mean 'window'? "
            "allowed: schedule, window, min_history, max_rows, holdout, estimator, parameters, search, estimators, tune, "
            "weights, early_stop, seed, trusted_types, run_in, docker"
        ]

    def test_unknown_key_that_resembles_nothing_gets_no_guess(self, change_model: Change) -> None:
        (line,) = problems(load_model, change_model("window: 60 days", "zzz: 60"))
        assert "did you mean" not in line

    def test_bad_literal(self, change_model: Change) -> None:
        assert problems(load_model, change_model("task: regression", "task: Regresion")) == [
            "4: task: 'Regresion' is not allowed; did you mean 'regression'? allowed: classification, multiclass, regression"
        ]

    def test_wrong_type(self, change_model: Change) -> None:
        assert problems(load_model, change_model("window: 60 days", "window: sixty")) == [
            "12: train.window: 'sixty' is no number with a unit; write it such as 60 days or 60 partitions; units: minute, hour, day, "
            "week, month, quarter, year, partition"
        ]

    def test_out_of_range(self, change_model: Change) -> None:
        assert problems(load_model, change_model("{dataset: sales}\n", "{dataset: sales, lag: 999 days}\n")) == [
            "7: inputs[0].lag: 999 days is too long; allowed: up to 366 days, or 100000 partitions"
        ]

    def test_value_that_is_not_there(self, change_model: Change) -> None:
        (line,) = problems(load_model, change_model("owner: shop", "owner:"))
        assert line.startswith("3: owner: must be text") and line.endswith("got nothing")

    def test_mapping_expected(self, change_model: Change) -> None:
        path = change_model("target: {dataset: sales, column: amount}", "target: amount")
        assert problems(load_model, path) == [
            "8: target: must be a mapping of keys to values, got 'amount'; "
            "allowed: dataset, column, positive_above, positive, classes, min_class_rows, within, absent"
        ]

    def test_missing_key_is_laid_at_the_mapping_that_lacks_it(self, change_model: Change) -> None:
        (line,) = problems(load_model, change_model("  estimator: sklearn.linear_model.Ridge\n", ""))
        assert line.startswith("11: train.estimator: is missing; give the import path of an estimator")

    def test_missing_key_of_the_whole_file(self, change_model: Change) -> None:
        assert problems(load_model, change_model("owner: shop\n", "")) == [
            "1: owner: missing required key 'owner' (Who answers for it: shown in Airflow and on its cards); add it"
        ]

    def test_duplicate_key(self, change_model: Change) -> None:
        assert problems(load_model, change_model("task: regression", "task: regression\nowner: me")) == [
            "5: owner: duplicate key 'owner'; first given on line 3, keep one of them"
        ]

    def test_duplicate_key_where_any_key_is_allowed(self, change_model: Change) -> None:
        path = change_model("  window: 60 days", "  parameters: {alpha: 1.0, alpha: 2.0}")
        (line,) = problems(load_model, path)
        assert line.startswith("12: train.parameters.alpha: duplicate key 'alpha'")

    def test_name_that_differs_from_its_folder(self, change_model: Change) -> None:
        assert problems(load_model, change_model("name: revenue", "name: revenues")) == [
            "1: name: 'revenues' differs from its folder's name, 'revenue'; rename one so that they agree"
        ]

    def test_number_that_is_not_finite(self, change_model: Change) -> None:
        assert problems(load_model, change_model("at_most: 15", "at_most: .nan")) == [
            "16: gate.criteria[0].at_most: must be a finite number, got nan"
        ]

    def test_day_that_no_calendar_has(self, change_dataset: Change) -> None:
        assert problems(load_dataset, change_dataset("start: 2024-01-01", "start: 2024-02-30")) == [
            "5: schedule.start: '2024-02-30' is not a date: day is out of range for month"
        ]

    def test_checks_of_several_keys_are_laid_at_one_of_them(self, change_dataset: Change) -> None:
        assert problems(load_dataset, change_dataset("keys: [shop]", "keys: [shp]")) == [
            "10: keys: not among the columns: shp; allowed: shop, amount"
        ]

    def test_file_below_the_project_is_named_from_its_root(self) -> None:
        with pytest.raises(ConfigError, match=r"^include/models/none/model\.yaml: there is no such file"):
            load_model(PROJECT_ROOT / "include/models/none/model.yaml")


class TestAFormChosenByAKey:
    def test_unknown_form(self, change_model: Change) -> None:
        assert problems(load_model, change_model("kind: absolute", "kind: absolut")) == [
            "16: gate.criteria[0].kind: 'absolut' is not allowed; did you mean 'absolute'? allowed: absolute, champion, "
            "baseline, slices, calibration, speed, size, stability, behaviour"
        ]

    def test_form_not_said(self, change_model: Change) -> None:
        assert problems(load_model, change_model("kind: absolute, ", "")) == [
            "16: gate.criteria[0].kind: missing required key 'kind'; allowed values: absolute, champion, "
            "baseline, slices, calibration, speed, size, stability, behaviour"
        ]

    def test_key_of_another_form(self, change_model: Change) -> None:
        assert problems(load_model, change_model("at_most: 15", "at_most: 15, margin: 1")) == [
            "16: gate.criteria[0].margin: unknown key 'margin'; allowed: kind, metric, at_least, at_most"
        ]

    def test_check_within_a_form(self, change_model: Change) -> None:
        assert problems(load_model, change_model(", at_most: 15", "")) == ["16: gate.criteria[0]: give exactly one of at_least and at_most"]

    def test_unknown_source(self, change_dataset: Change) -> None:
        assert problems(load_dataset, change_dataset("type: files", "type: file")) == [
            "4: source.type: 'file' is not allowed; did you mean 'files'? allowed: files, object_storage, sql, http"
        ]

    def test_source_of_another_form(self, change_dataset: Change) -> None:
        assert problems(load_dataset, change_dataset("type: files, path", "type: object_storage, path")) == [
            "4: source.path: unknown key 'path'; allowed: format, compression, csv, missing_values, max_bytes, type, url, connection",
            "4: source.url: missing required key 'url' (Such as s3://bucket/sales/{partition}.csv; `{partition}` stands for the "
            "partition's key, `*` for anything within a name. Expands `${NAME}`); add it",
        ]

    def test_form_within_a_source(self, change_dataset: Change) -> None:
        source = "{type: http, url: 'https://example.org', pagination: {kind: link_header, path: next}}"
        written = '{type: files, path: "${LANDING}/sales/{partition}.csv"}'
        assert problems(load_dataset, change_dataset(written, source)) == [
            "4: source.pagination.path: unknown key 'path'; allowed: kind, max_pages"
        ]
        assert problems(load_dataset, change_dataset("link_header", "link_headers")) == [
            "4: source.pagination.kind: 'link_headers' is not allowed; did you mean 'link_header'? allowed: next, link_header, page_number"
        ]

    def test_checks_of_a_source_are_laid_at_the_key_that_is_wrong(self, change_dataset: Change) -> None:
        written = '{type: files, path: "${LANDING}/sales/{partition}.csv"}'
        sql = "{type: sql, connection: warehouse, query: \"SELECT * FROM sales WHERE day = '{partition}'\"}"
        assert problems(load_dataset, change_dataset(written, sql)) == [
            "4: source.query: '{partition}' would be put into the text of the query; parameters are bound, never formatted; "
            "allowed: :partition, :start, :end"
        ]
        http = "{type: http, url: /sales}"
        assert problems(load_dataset, change_dataset(sql, http)) == [
            "4: source.url: '/sales' is only a path; write the whole URL, or name a connection that has the server's address"
        ]


def test_all_problems_come_at_once_in_the_order_of_their_lines(change_model: Change) -> None:
    change_model("retrain:\n", "retrain:\n  cooldown: -1 days\n  cooldown: 2 days\n")
    change_model("task: regression", "task: regresion")
    path = change_model("name: revenue", "nam: revenue")
    lines = problems(load_model, path)
    assert [line.split(":")[0] for line in lines] == ["1", "1", "4", "18", "19"]


@pytest.mark.parametrize("cron", ["0 6 * * 1", "*/15 8-18 * * MON-FRI", "0 0 29 2 *", "@daily"])
def test_cron_that_is_accepted(change_dataset: Change, cron: str) -> None:
    grain = "15min" if cron.startswith("*") else "day"
    assert load_dataset(change_dataset('"0 0 * * *"', f'"{cron}", grain: {grain}')).schedule.cron == cron


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("0 6 * * 9", "out of range"),
        ("0 6 * *", "five fields"),
        ("0 0 0 * * *", "five fields"),
        ("R 0 * * *", "five fields"),
        ("0 0 31 2 *", "a date that never comes"),
        ("@nightly", "unknown preset"),
        ("", "five fields"),
    ],
)
def test_cron_that_is_refused(change_dataset: Change, cron: str, why: str) -> None:
    (line,) = problems(load_dataset, change_dataset('"0 0 * * *"', f'"{cron}"'))
    assert line.startswith(f"5: schedule.cron: {cron!r}" if why != "unknown preset" else "5: schedule.cron: unknown")
    assert why in line and "such as '0 6 * * 1'" in line


def test_a_schedule_that_ends_before_it_starts_is_refused(change_dataset: Change) -> None:
    (line,) = problems(load_dataset, change_dataset("start: 2024-01-01", "start: 2024-01-01, end: 2023-01-01"))
    assert line.startswith("5: schedule.end: 2023-01-01 is before start")


class TestAFileThatIsNoMappingInYaml:
    @pytest.mark.parametrize(
        ("content", "line"),
        [
            (b"", "is empty"),
            (b"# only a comment\n", "is empty"),
            (b"- a\n- b\n", "must be a mapping of keys to values at its top level"),
            (b"name: [a\nowner: b\n", "not valid YAML"),
            (b"name: a\n\towner: b\n", "not valid YAML"),
            (b"name: a\n---\nname: b\n", "not valid YAML"),
            (b"name: *nowhere\n", "found undefined alias"),
            (b"name: a\nowner: M\xfcller\n", "byte 0xfc is not UTF-8; save the file as UTF-8"),
            ("name: é\nowner: \x00\n".encode(), "remove the character"),
        ],
    )
    def test_is_one_clear_error(self, include: Path, content: bytes, line: str) -> None:
        path = include / "models/revenue/model.yaml"
        path.write_bytes(content)
        (found,) = problems(load_model, path)
        assert line in found

    def test_bad_byte_is_laid_at_its_line(self, include: Path) -> None:
        path = include / "models/revenue/model.yaml"
        path.write_bytes(b"name: a\nowner: M\xfcller\n")
        assert problems(load_model, path)[0].startswith("2: ")

    def test_missing_file(self, include: Path) -> None:
        with pytest.raises(ConfigError, match="there is no such file; create it"):
            load_model(include / "models/nowhere/model.yaml")

    def test_folder_in_place_of_a_file(self, include: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            load_model(include / "models/revenue")


class TestAFileThatWouldHarmItsReader:
    def test_billion_laughs_is_refused_at_once(self, change_model: Change) -> None:
        """Written out it is 9 to the 24th values: counting them all would not end."""
        laughs = ["a: &a [x, x, x, x, x, x, x, x, x]"]
        laughs += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghijklmnopqrstuvwx")]
        path = change_model("  window: 60 days", f"  parameters: {{{', '.join(laughs)}}}")
        (line,) = problems(load_model, path)
        assert "more than 50000 values once its aliases" in line

    def test_alias_to_itself_is_refused(self, change_model: Change) -> None:
        (line,) = problems(load_model, change_model("  window: 60 days", "  parameters: &p {p: *p}"))
        assert "holds an alias (*) to what is around it" in line

    @pytest.mark.parametrize("nested", ["[" * 200_000, "- " * 200_000], ids=["brackets", "dashes"])
    def test_deep_nesting_does_not_end_the_process(self, include: Path, nested: str) -> None:
        path = include / "models/revenue/model.yaml"
        path.write_text(f"name:\n  {nested}")
        (line,) = problems(load_model, path)
        assert "nested deeper than 50 levels" in line

    def test_huge_file_is_refused(self, include: Path) -> None:
        path = include / "models/revenue/model.yaml"
        path.write_text("#" * 1_000_001)
        with pytest.raises(ConfigError, match="has 1000001 bytes, of at most 1000000"):
            load_model(path)

    def test_foreign_tag_builds_nothing(self, change_model: Change) -> None:
        path = change_model("  window: 60 days", "  parameters: {a: !!python/object/apply:os.getcwd []}")
        (line,) = problems(load_model, path)
        assert line.startswith("12: train.parameters.a: tag '!!python/object/apply:os.getcwd' is not allowed")

    def test_long_value_is_capped_in_the_message(self, change_model: Change) -> None:
        (line,) = problems(load_model, change_model("window: 60 days", f"window: {'x' * 10_000}"))
        assert len(line) < 250


class TestAValueThatMeansWhatItSays:
    def test_an_ordinary_alias_is_written_out(self, change_model: Change) -> None:
        path = change_model("  window: 60 days", "  parameters: {a: &a [1, 2], b: *a}")
        assert load_model(path).train.parameters == {"a": [1, 2], "b": [1, 2]}

    @pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("-.5", -0.5), ("1E3", 1000.0), ("1_000", 1000)])
    def test_numbers_are_numbers(self, change_model: Change, text: str, value: float) -> None:
        path = change_model("  window: 60 days", f"  parameters: {{tol: {text}}}")
        assert load_model(path).train.parameters == {"tol": value}

    def test_quoted_numbers_are_text(self, change_model: Change) -> None:
        path = change_model("  window: 60 days", "  parameters: {tol: '1e-3'}")
        assert load_model(path).train.parameters == {"tol": "1e-3"}

    @pytest.mark.parametrize("text", ["NO", "on", "007", "09", "10:30"])
    def test_words_with_two_readings_are_refused(self, change_model: Change, text: str) -> None:
        (line,) = problems(load_model, change_model("  window: 60 days", f"  parameters: {{a: {text}}}"))
        assert line.startswith(f"12: train.parameters.a: {text} without quotes can be read in two ways")
        assert f"'{text}' for text" in line

    def test_a_key_with_two_readings_is_refused_once(self, change_model: Change) -> None:
        assert problems(load_model, change_model("  window: 60 days", "  on: 60")) == [
            "12: train: on without quotes can be read in two ways; write true or false, or 'on' for text"
        ]

    def test_merge_keys_are_refused(self, change_model: Change) -> None:
        (line,) = problems(load_model, change_model("  window: 60 days", "  parameters: {<<: {a: 1}}"))
        assert line.startswith("12: train.parameters.<<: merge keys are not allowed")

    def test_a_key_that_is_no_text_is_refused(self, change_model: Change) -> None:
        (line,) = problems(load_model, change_model("  window: 60 days", "  parameters: {1: a}"))
        assert line == "12: train.parameters: key 1 must be text; put it in quotes"
