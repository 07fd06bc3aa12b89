"""The guides say what is: every one is found, every link leads somewhere, every key and example is what the files take."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from include.evergreen import PROJECT_ROOT
from include.evergreen.cli.main import parser
from include.evergreen.config.datasets import Validity
from include.evergreen.config.measuring import Costs, LearnedThreshold, Metrics, OwnMetric
from include.evergreen.config.metrics import METRICS, is_sliced, observation_names
from include.evergreen.config.models import Feature, FeatureGroup, Input, ModelConfig, Target
from include.evergreen.config.monitoring import Monitor, Retrain, Rule
from include.evergreen.config.reference import main, reference_text
from include.evergreen.config.schedule import PartitionSchedule
from include.evergreen.state.alerts import KINDS

GUIDES = sorted((PROJECT_ROOT / "docs" / "guides").glob("*.md"))
PAGES = sorted([*PROJECT_ROOT.glob("*.md"), *(PROJECT_ROOT / "docs").rglob("*.md")])
RUNBOOKS = {path.stem: path for path in (PROJECT_ROOT / "docs" / "runbooks").glob("*.md")}
SECTIONS = ["What happened", "What it means", "The first five minutes", "How to see that it is mended"]
MOST_TERMS = 26
KEYS: dict[str, tuple[type[BaseModel], ...]] = {
    "declaring-a-model.md": (Input, Target, Feature, FeatureGroup),
    "schedules.md": (PartitionSchedule,),
    "monitoring.md": (Monitor, Retrain, Rule),
    "metrics.md": (LearnedThreshold, Costs, OwnMetric),
}
SOUND: dict[str, Any] = {
    "name": "churn",
    "description": "x",
    "owner": "x",
    "task": "classification",
    "rows": "customers",
    "inputs": [{"dataset": "customers"}],
    "target": {"dataset": "departures", "column": "left", "positive_above": 0},
    "features": [{"name": "tariff", "kind": "categorical", "description": "x"}],
    "train": {"estimator": "sklearn.linear_model.LogisticRegression"},
    "gate": {"criteria": [{"kind": "absolute", "metric": "auc", "at_least": 0.5}]},
}


def read_guide(guide: str) -> str:
    return (PROJECT_ROOT / "docs" / "guides" / guide).read_text()


def examples(guide: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", read_guide(guide), re.MULTILINE | re.DOTALL)]


def keys_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys_in, value.values()))
    return set().union(*map(keys_in, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_the_readme_leads_to_every_guide(guide: Path) -> None:
    assert f"](docs/guides/{guide.name})" in (PROJECT_ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", page.read_text()):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if heading:
            assert heading in {anchor(line) for line in target.read_text().splitlines() if line.startswith("#")}, link


def test_the_glossary_defines_few_terms_and_each_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", (PROJECT_ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert 0 < len(terms) <= MOST_TERMS
    assert len({name for name, _ in terms}) == len(terms)
    told = "\n".join(page.read_text() for page in PAGES if page.name != "glossary.md").lower()
    assert [name for name, _ in terms if name.lower() not in told] == [], "a term that no page uses needs no definition"


@pytest.mark.parametrize("page", [PROJECT_ROOT / "README.md", *GUIDES], ids=lambda path: path.name)
def test_a_page_leads_to_the_glossary_where_it_first_uses_a_term(page: Path) -> None:
    assert "glossary.md)" in page.read_text() or page.name == "yaml-reference.md"  # which is made of the declarations' own words


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("#").strip().lower()).replace(" ", "-")


def test_the_reference_says_what_the_config_classes_say() -> None:
    assert read_guide("yaml-reference.md") == reference_text(), "run `make schemas`"


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_every_key_of_both_files_is_in_the_reference(kind: str) -> None:
    schema = json.loads((PROJECT_ROOT / f"include/evergreen/config/{kind}.schema.json").read_text())
    reference = reference_text()
    for name, definition in {"the file": schema, **schema["$defs"]}.items():
        for key in definition.get("properties", {}):
            assert f"| `{key}` | " in reference, f"{key} of {name}"


def test_every_key_of_the_reference_says_what_it_means() -> None:
    assert [line for line in reference_text().splitlines() if line.startswith("| `") and line.endswith("|  |")] == []


def test_a_stale_reference_is_told_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "yaml-reference.md"
    assert main(["--check"], page) == 1
    assert "yaml-reference.md is out of date" in capsys.readouterr().err
    assert (main([], page), main(["--check"], page)) == (0, 0)


@pytest.mark.parametrize(("guide", "kind"), [(guide, kind) for guide, kinds in KEYS.items() for kind in kinds])
def test_each_key_stands_in_an_example_and_in_a_table_with_its_default(guide: str, kind: type[BaseModel]) -> None:
    shown = set().union(*map(keys_in, examples(guide)))
    for key, field in kind.model_fields.items():
        assert key in shown, f"{kind.__name__}.{key} is in no example"
        row = re.search(rf"^\| [^|]*`{key}`[^|]*\|([^|]*)\|([^|]*)\|", read_guide(guide), re.MULTILINE)
        assert row, f"{kind.__name__}.{key} is in no table"
        default = "required" if field.is_required() else json.dumps(field.default, default=str).strip('"')
        if default not in ("null", "[]"):
            assert default in row[2] or (kind is Rule and key in ("above", "below")), f"{key}: {row[0]}, and it is {default}"


def test_the_guides_examples_are_sound() -> None:
    for example in examples("declaring-a-model.md"):
        keys = example.get("target", SOUND["target"]).keys()
        task = "classification" if {"positive", "positive_above"} & keys else "multiclass" if "classes" in keys else "regression"
        ModelConfig.model_validate({**SOUND, "task": task, "gate": {"criteria": [{"kind": "speed", "at_most": 1}]}, **example})
    for example in examples("monitoring.md"):
        model = ModelConfig.model_validate({**SOUND, **example})
        whole = {rule.metric for rule in model.retrain.rules if not is_sliced(rule.metric)}
        assert whole <= set(observation_names(model))
    night, monday, *others = examples("schedules.md")
    for example in (night, *(each for each in others if "schedule" in each)):
        PartitionSchedule.model_validate(example["schedule"])
    for example in (each for each in others if "inputs" in each):
        ModelConfig.model_validate({**SOUND, **example, "rows": example["inputs"][0]["dataset"]})
    for example in (each for each in others if "validity" in each):
        Validity.model_validate(example["validity"])
    ModelConfig.model_validate({**SOUND, **monday})


def test_the_guide_of_metrics_has_each_of_them_and_every_key() -> None:
    guide, shown = read_guide("metrics.md"), set().union(*map(keys_in, examples("metrics.md")))
    for metrics in METRICS.values():
        for name, metric in metrics.items():
            better = metric.better_words.removesuffix(" is better")
            assert f"| `{name}` | {better} | " in guide, name
            assert bool(metric.undefined) == (not re.search(rf"^\| `{name}` .*\| \|$", guide, re.MULTILINE)), name
    assert all(f"| `{key}` | " in guide for key in Metrics.model_fields)
    assert Metrics.model_fields.keys() - shown == {"decision_threshold"}
    for example in examples("metrics.md"):
        others = {"target": {"dataset": "x", "column": "x"}} if example["task"] == "regression" else {}
        ModelConfig.model_validate({**SOUND, **others, **example})


def test_the_monitoring_guide_names_every_observation() -> None:
    for task, metrics in METRICS.items():
        row = next(line for line in read_guide("monitoring.md").splitlines() if line.startswith("| `performance.") and task in line)
        assert all(f".{metric}`" in row for metric in metrics)
    for name in observation_names(ModelConfig.model_validate(SOUND)):
        shown = re.sub(r"^estimated\..+", "estimated.METRIC", name.replace("drift.tariff", "drift.FEATURE"))
        assert name.startswith("performance.") or f"`{shown}`" in read_guide("monitoring.md"), name


def test_each_kind_of_alert_has_a_runbook_and_each_runbook_is_of_a_kind() -> None:
    assert set(RUNBOOKS) == set(KINDS)
    assert "docs/runbooks docs/runbooks" in (PROJECT_ROOT / "Dockerfile").read_text(), "the pages serve them from the image"


@pytest.mark.parametrize("kind", RUNBOOKS)
def test_a_runbook_says_what_to_do_in_the_order_in_which_it_is_asked(kind: str) -> None:
    text = RUNBOOKS[kind].read_text()
    assert text.startswith(f"# {KINDS[kind].title}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert re.search(r"^1\. ", text, re.MULTILINE)


@pytest.mark.parametrize("page", [*RUNBOOKS.values(), PROJECT_ROOT / "docs/guides/on-call.md"], ids=lambda path: path.stem)
def test_a_command_for_three_in_the_morning_is_one_that_there_is(page: Path) -> None:
    text = page.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    lines = [line.strip().removeprefix("docker-compose exec scheduler ") for line in [*"\n".join(blocks).splitlines(), *inline]]
    for line in lines:
        if line.startswith("evergreen ") and not line.startswith("evergreen."):
            words = shlex.split(line, comments=True)[1:]
            with pytest.raises(SystemExit) if len(words) == 1 else contextlib.nullcontext() as told:  # a verb that is only mentioned
                parser().parse_args(words if len(words) > 1 else [*words, "--help"])
            assert told is None or told.value.code == 0, line
