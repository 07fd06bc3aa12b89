"""The approval request: what a person reads before approving or rejecting a version, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.evergreen.gates.decision import find_blessing
from include.evergreen.registry import champions
from include.evergreen.registry.approvals import approval_status
from include.evergreen.registry.champions import RegisteredVersion


@dataclass(frozen=True)
class Question:
    """What the form asks: ``subject`` is its heading, in plain text, and ``body`` the evidence, in Markdown."""

    subject: str
    body: str


def build_approval_request(model: str, version: int, *, hours: float, links: Mapping[str, str]) -> Question:
    """The approval request for a version, with the gate's evidence. Raises `ConfigError` when there is no such version.

    :param model: its name, as in ``include/models``
    :param version: the number of the registered version
    :param hours: after how many hours without an answer it counts as rejected
    :param links: label to URL, of what does not fit into the form
    :returns: heading and text of the form
    """
    from include.evergreen.gates.report import markdown

    asked, because = champions.version_number(model, version), approval_status(model, version).because
    serving, decision = champions.champion(model), find_blessing(asked.run_key)
    parts = [
        f"**Why approval is needed:** {because or 'somebody started this run by hand; no rule requires it'}.",
        _what_changes(asked, serving),
        f"**Approve**: it becomes champion at once. **Reject**, or no answer within {hours:g} hours: nothing changes. "
        "Your name and your reason are recorded in the ledger.",
        " · ".join(f"[{message}]({url})" for message, url in links.items()),
        "---",
        markdown(decision) if decision else "The gate **has not blessed** it, so an approval promotes nothing.",
    ]
    subject = f"{model} version {version} ({asked.semver}), as of {asked.as_of}. Approve for production?"
    return Question(subject, "\n\n".join(part for part in parts if part))


def _what_changes(asked: RegisteredVersion, serving: RegisteredVersion | None) -> str:
    if serving is None:
        return "It would be the **first** champion: no version is serving now."
    if serving.version == asked.version:
        return "It is already champion."
    return f"It would replace version **{serving.version}** ({serving.semver}), as of {serving.as_of}."
