"""The neutral funnel vectors through the product: definition, engine, kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.conformance.vectors import duration, events, instant, load
from upswing.core.units import SECOND, Duration
from upswing.diagnose.funnel import funnel
from upswing.spec.funnel import FunnelDefinition


def spelt(test: dict[str, Any]) -> dict[str, Any]:
    """A vector's test of events as a step."""
    where = [
        {"prop": k, "op": "is_not_set"} if v is None else {"prop": k, "value": str(v)}
        for k, v in test.get("where", {}).items()
    ]
    named = {"any_of": test["event"]} if isinstance(test["event"], list) else {"event": test["event"]}
    return {**named, "where": where}


def definition_of(query: dict[str, Any]) -> FunnelDefinition:
    steps = [spelt(s) for s in query["steps"]]
    for number in query.get("optional", ()):
        steps[number - 1]["optional"] = True
    for key in ("min_gap", "max_gap"):
        for number, gap in query.get(key, {}).items():
            steps[int(number) - 1][key] = Duration(duration(gap))
    hold = query.get("hold")
    for step, prop in zip(steps, hold if isinstance(hold, list) else [], strict=False):
        step["hold"] = prop
    body = {k: query[k] for k in ("order", "tie", "count", "profile", "exclusion_policy") if query.get(k)}
    return FunnelDefinition.model_validate(
        {
            "name": "vector",
            "steps": steps,
            "window": Duration(duration(query["window"])),
            "exclude": [{**spelt(x), "between": x["between"]} for x in query.get("exclusions", ())],
            "hold": hold if isinstance(hold, str) else None,
            **body,
        }
    )


def moment(log, time):
    return None if time is None else log.calendar.local(instant(time))


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in load("funnel")])
def test_vector(vector, log_on):
    query, expected = vector["query"], vector["expected"]
    try:
        definition = definition_of(query)
    except ValidationError as error:
        pytest.skip(f"not offered: {error.errors()[0]['msg']}")
    rows = [e._replace(props={k: None if v is None else str(v) for k, v in e.props.items()}) for e in events(vector)]
    log = log_on(rows, zone=vector.get("zone", query.get("zone", "UTC")))
    missing = {n for s in (*definition.steps, *definition.exclude) for n in s.events or ()} - set(log.schema.events)
    if missing:
        pytest.skip("a step that never occurs in the log is refused by name")
    found = funnel(log, definition, start=moment(log, query.get("from")), stop=moment(log, query.get("to")))
    assert found.chains is not None
    if "counts" in expected:
        assert [s.users for s in found.steps] == expected["counts"]
    if "depth" in expected:
        units = log.user_ids(found.chains.users)
        depths = dict(zip(units, found.chains.depth.tolist(), strict=True))
        if definition.count == "users":
            assert depths == expected["depth"]
        else:
            assert sorted(found.chains.depth.tolist()) == sorted(expected["depth"].values())
    for step, seconds in expected.get("times_to_convert", {}).items():
        taken = np.sort(found.chains.elapsed[found.chains.depth >= int(step), int(step) - 1]) / SECOND
        if definition.profile:
            assert set(taken) <= set(seconds)
        else:
            assert taken.tolist() == seconds
