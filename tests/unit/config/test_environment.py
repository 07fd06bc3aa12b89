from __future__ import annotations

import pytest

from include.evergreen.config.environment import expand
from include.evergreen.config.sources import FilesSource
from include.evergreen.foundation.errors import ConfigError

WHERE = "include/datasets/sales/dataset.yaml: source.path"


def test_each_reference_becomes_the_variables_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING", "/landing")
    monkeypatch.setenv("REGION", "eu")
    assert expand("${LANDING}/${REGION}/${REGION}.csv", where=WHERE) == "/landing/eu/eu.csv"


def test_everything_else_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING", "/landing")
    assert expand("$LANDING/{partition}/$5/~/%LANDING%", where=WHERE) == "$LANDING/{partition}/$5/~/%LANDING%"


def test_what_a_variable_brings_in_is_not_expanded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING", "${OTHER}")
    assert expand("${LANDING}", where=WHERE) == "${OTHER}"


def test_an_unset_variable_is_named_with_the_place_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANDNG", raising=False)
    monkeypatch.setenv("LANDING", "/landing")
    with pytest.raises(ConfigError) as caught:
        expand("${LANDNG}/a.csv", where=WHERE)
    assert str(caught.value) == (
        f"{WHERE}: '${{LANDNG}}/a.csv': environment variable LANDNG is not set; did you mean 'LANDING'? "
        "set it for this process (and for Airflow's workers)"
    )


def test_an_empty_variable_is_refused_because_it_would_point_at_the_root_of_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANDING", "")
    with pytest.raises(ConfigError, match="environment variable LANDING is empty"):
        expand("${LANDING}/a.csv", where=WHERE)


def test_all_unset_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QQ_ONE", raising=False)
    monkeypatch.delenv("QQ_TWO", raising=False)
    with pytest.raises(ConfigError, match=r"(?s)QQ_ONE is not set.*QQ_TWO is not set"):
        expand("${QQ_ONE}/${QQ_TWO}/${QQ_ONE}", where=WHERE)


@pytest.mark.parametrize("value", ["${}", "${A B}", "${1A}", "${LANDING", "${A${B}}"])
def test_a_malformed_reference_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B", "b")
    with pytest.raises(ConfigError, match=r"does not name an environment variable|is never closed"):
        expand(value, where=WHERE)


def test_a_source_says_in_its_schema_that_its_path_is_expanded_and_nothing_else_is() -> None:
    properties = FilesSource.model_json_schema()["properties"]
    assert [name for name, schema in properties.items() if schema.get("expands")] == ["path"]
