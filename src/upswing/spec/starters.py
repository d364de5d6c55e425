"""A first file of every kind, to be changed by a person: ``upswing new KIND NAME``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FOLDERS: Final[Mapping[str, str]] = {
    "segment": "segments", "funnel": "funnels", "retention": "retentions", "paths": "paths", "metric": "metrics",
    "journey": "journeys", "hypothesis": "hypotheses", "experiment": "experiments", "initiative": "initiatives",
    "tree": "metrics", "quadrants": "strategy", "behaviour": "strategy", "hook": "strategy", "aha": "strategy",
}  # fmt: skip
"""Kind → folder in which its files are usually kept. Folders are a habit; the kind in the file is what counts."""

STARTERS: Final[Mapping[str, str]] = {
    "segment": """\
kind: segment
name: NAME
# label: {en: …, zh: …}
all:
  - expr: platform = 'ios'
  # - did: open
  #   at_least: 3
  #   within: 7d
""",
    "funnel": """\
kind: funnel
name: NAME
window: 7d
steps:
  - event: view
  - event: pay
    # where: [{expr: amount > 50}]
    # target: 0.3
""",
    "retention": """\
kind: retention
name: NAME
start: {event: open}
returning: {event: open}
period: day
periods: 7
""",
    "paths": """\
kind: paths
name: NAME
after: {event: open}
depth: 5
""",
    "metric": """\
kind: metric
name: NAME
# label: {en: …, zh: …}
owner: ""
type: proportion
numerator: {event: pay}
better: up
""",
    "journey": """\
kind: journey
name: NAME
# persona: {name: …, text: …}
window: 30d
stages:
  - name: discover
    label: {en: Discover, zh: 发现}
    enters: {event: view}
    touchpoints: []
    # does: what users do
    # thinks: what they think
    # feels: [{survey: csat, low: 1, high: 5}]
    # tags: [words, that, put, a, note, here]
  - name: decide
    label: {en: Decide, zh: 决定}
    enters: {event: pay}
""",
    "hypothesis": """\
kind: hypothesis
name: NAME
state: what users feel or think now
trace: how that shows in the data
lever: the change that moves it
# metric: activation_rate
# forecast: {low: 0.0, likely: 0.03, high: 0.08, by: you, source: judgement}   # relative: +3 %
# confidence: 0.5        # probability that it does anything at all
# baseline: 0.31         # the metric today; measured from the log if absent
# reach: 3000            # users a week
# cost: 5                # person-days
# impact: 5              # 1 to 10, for ICE and RICE
# ease: 5
stage: idea
""",
    "experiment": """\
kind: experiment
name: NAME
hypothesis: the claim in words, or the name of a hypothesis
variants: {control: 0.5, treatment: 0.5}
control: control
primary: {metric: METRIC}
""",
    "initiative": """\
kind: initiative
name: NAME
owner: ""
stage: idea
# history: [{stage: idea, since: 2026-11-01}]
# due: 2026-12-01
# next_step: talk to five users
# documents: [{title: Plan, link: docs/plan.md, stage: plan}]
# decisions: [{text: …, because: …, by: …, decided: 2026-11-10}]
""",
}
"""Kind → file, with NAME in place of its name. Everything that is not a comment is valid as it stands."""


def starter(kind: str, name: str) -> str:
    """The first file of a kind under a name.

    Examples:
        >>> starter("paths", "after_open").splitlines()[1]
        'name: after_open'
    """
    return STARTERS[kind].replace("name: NAME", f"name: {name}", 1)
