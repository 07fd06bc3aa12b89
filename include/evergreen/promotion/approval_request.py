"""What a person reads before approving or refusing a version: one headline, and the evidence in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.evergreen.gates import blessing_of
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import standing_of
from include.evergreen.registry.champions import RegisteredVersion


@dataclass(frozen=True)
class Question:
    """``body`` is Markdown."""

    subject: str
    body: str


def question_on(model: str, version: int, *, hours: float, links: Mapping[str, str]) -> Question:
    """``links`` (words to URLs) lead to what does not fit here. Raises `ConfigError` when there is no such version."""
    from include.evergreen.gates.report import markdown

    asked, because = champions.version_number(model, version), standing_of(model, version).because
    serving, decision = champions.champion(model), blessing_of(asked.run_key)
    parts = [
        f"**Why you are asked:** {because or 'somebody started this run by hand; no rule asks for it'}.",
        _what_changes(asked, serving),
        f"**Approve**: it becomes champion at once. **Refuse**, or no answer within {hours:g} hours: nothing changes. "
        "Your name and your reason go into the ledger.",
        " · ".join(f"[{words}]({url})" for words, url in links.items()),
        "---",
        markdown(decision) if decision else "There is **no blessed decision** on it, so approving it promotes nothing.",
    ]
    subject = f"{model} version {version} ({asked.semver}), as of {asked.as_of}: may it serve?"
    return Question(subject, "\n\n".join(part for part in parts if part))


def _what_changes(asked: RegisteredVersion, serving: RegisteredVersion | None) -> str:
    if serving is None:
        return "It would be the **first** champion: nothing serves now."
    if serving.version == asked.version:
        return "It is champion already."
    return f"It would take the place of version **{serving.version}** ({serving.semver}), as of {serving.as_of}."
