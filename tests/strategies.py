"""Random logs and queries for hypothesis: small, and crowded where analyses go wrong.

Times fall on a coarse grid so that ties, repeats and exact window edges are common rather than lucky; properties are
sometimes missing; stored order is shuffled against time; zones include daylight saving, half hours and skipped
midnights.
"""

from typing import Any

from hypothesis import strategies as st

from tests.oracles.event import DAY, HOUR, SECOND, Event

NAMES = ("A", "B", "C", "D", "X")
ZONES = (
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "Europe/London",
    "Asia/Kolkata",
    "Australia/Adelaide",
    "America/Sao_Paulo",
    "America/Havana",
)
EPOCH = 1_700_000_000 * SECOND
DST_EPOCHS = (
    1_710_000_000 * SECOND,  # 2024-03-09: a day before the clocks move in the United States
    1_711_756_800 * SECOND,  # 2024-03-30: a day before they move in Europe
    1_541_203_200 * SECOND,  # 2018-11-03: a day before midnight is skipped in São Paulo
    1_703_980_800 * SECOND,  # 2023-12-31: year, month and week end together
)


@st.composite
def short_logs(
    draw: st.DrawFn,
    *,
    users: int = 3,
    most: int = 8,
    grid: int = 10 * SECOND,
    span: int = 12,
    names: tuple[str, ...] = NAMES,
    base: int = EPOCH,
) -> list[Event]:
    """Up to ``most`` events for each of up to ``users`` users, on ``span`` instants ``grid`` µs apart.

    ``row`` is unique in the log and independent of time. Properties: p (a/b/None/absent), q (a/b/absent), n (number).
    """
    # Empty logs and idle users stay possible, but most draws have enough events to say something.
    people = draw(st.one_of(st.integers(1, users), st.integers(0, users)))
    crowd = st.one_of(st.integers(min(4, most), most), st.integers(0, most))
    # Short spans make ties common; short alphabets make steps follow one another.
    instants = draw(st.sampled_from((span, 3, max(1, span // 2))))
    alphabet = draw(st.sampled_from((names, names[:2], (*names[:2], names[-1]), (*names[:3], names[-1]))))
    drafts = [
        (f"u{u}", draw(st.integers(0, instants)), draw(st.sampled_from(alphabet)), draw(properties()))
        for u in range(people)
        for _ in range(draw(crowd))
    ]
    rows = draw(st.permutations(range(len(drafts))))
    log = [
        Event(user, base + tick * grid, row, name, props)
        for (user, tick, name, props), row in zip(drafts, rows, strict=True)
    ]
    return sorted(log, key=lambda e: e.row)


@st.composite
def properties(draw: st.DrawFn) -> dict[str, Any]:
    """A few typed properties, each of them sometimes null or absent."""
    props: dict[str, Any] = {}
    for key in ("p", "q"):
        value = draw(st.sampled_from(("a", "a", "b", None, ...)))
        if value is not ...:
            props[key] = value
    if draw(st.booleans()):
        props["n"] = draw(st.sampled_from((0, 1, 2.5, -3, 10)))
    return props


def windows(*, grid: int = 10 * SECOND, span: int = 12) -> st.SearchStrategy[int]:
    """Windows that land on a gap exactly, or one microsecond to either side."""
    ticks = st.sampled_from((span, span // 2, 1, 2, 3, 4))
    return st.tuples(ticks, st.sampled_from((0, 0, 0, -1, 1))).map(lambda p: p[0] * grid + p[1])


@st.composite
def funnel_queries(draw: st.DrawFn, *, base: int = EPOCH, grid: int = 10 * SECOND, span: int = 12) -> dict[str, Any]:
    """Neutral funnel queries over :data:`NAMES`: steps as sets of names, everything else sometimes set.

    Keys: steps, window, start, stop, order, exclusions, exclusion_policy, optional, min_gap, max_gap, hold, tie, count.
    """
    names = st.sampled_from(draw(st.sampled_from((NAMES[:3], NAMES[:2], NAMES[:4]))))
    step = st.one_of(names.map(lambda n: [n]), st.sets(names, min_size=1, max_size=2).map(sorted))
    steps = draw(st.one_of(st.lists(step, min_size=2, max_size=4), st.lists(step, min_size=1, max_size=4)))
    order = draw(st.sampled_from(("ordered", "ordered", "ordered", "strict", "any")))
    count = draw(st.sampled_from(("users", "users", "users", "totals", "sessions", "pairs")))
    query: dict[str, Any] = {
        "steps": steps,
        "window": draw(windows(grid=grid, span=span)),
        "start": base + draw(st.sampled_from((0, 0, 0, 1, 3))) * grid,
        "stop": base + draw(st.sampled_from((span + 1, span + 1, span, 6))) * grid,
        "order": order,
        "tie": draw(st.sampled_from(("any", "any", "ingest", "strict"))),
        "count": count,
        "hold": draw(holds(len(steps), needed=count == "pairs")),
        "exclusions": [],
        "exclusion_policy": "drop",
        "optional": [],
        "min_gap": {},
        "max_gap": {},
    }
    if order != "any" and len(steps) > 1:
        _restrict(draw, query, len(steps), grid)
    return query


@st.composite
def holds(draw: st.DrawFn, steps: int, *, needed: bool = False) -> list[str] | None:
    """No held property, the same one at each step, or another one at each step."""
    kind = draw(st.sampled_from(("same", "mixed") if needed else (None, None, None, "same", "mixed")))
    if kind is None:
        return None
    return ["p"] * steps if kind == "same" else [draw(st.sampled_from(("p", "q"))) for _ in range(steps)]


def _restrict(draw: st.DrawFn, query: dict[str, Any], steps: int, grid: int) -> None:
    if draw(st.booleans()):
        a = draw(st.integers(1, steps - 1))
        query["exclusions"] = [("X", a, draw(st.integers(a + 1, steps)))]
        if query["count"] != "totals":
            query["exclusion_policy"] = draw(st.sampled_from(("drop", "remove")))
    if steps > 2 and draw(st.integers(0, 3)) == 0:
        query["optional"] = [draw(st.integers(2, steps - 1))]
    for key, most in (("min_gap", 2), ("max_gap", 6)):
        if draw(st.integers(0, 3)) == 0:
            query[key] = {draw(st.integers(2, steps)): draw(st.integers(0, most)) * grid}


@st.composite
def long_logs(draw: st.DrawFn, *, users: int = 4, most: int = 8, days: int = 40) -> tuple[list[Event], str]:
    """Logs over weeks in one zone, crowded around midnights and clock changes; with the zone."""
    zone = draw(st.sampled_from(ZONES))
    base = draw(st.sampled_from((EPOCH, *DST_EPOCHS)))
    instant = st.one_of(
        st.tuples(st.integers(0, days), st.integers(0, 23)).map(lambda p: base + p[0] * DAY + p[1] * HOUR),
        st.tuples(st.integers(0, 3), st.integers(0, 47), st.sampled_from((-1, 0, 1))).map(
            lambda p: base + p[0] * DAY + p[1] * HOUR // 2 + p[2]
        ),
    )
    drafts = [
        (f"u{u}", draw(instant), draw(st.sampled_from(NAMES[:3])), draw(properties()))
        for u in range(draw(st.integers(0, users)))
        for _ in range(draw(st.integers(0, most)))
    ]
    log = [Event(user, time, row, name, props) for row, (user, time, name, props) in enumerate(drafts)]
    return log, zone


def retention_queries() -> st.SearchStrategy[dict[str, Any]]:
    """Neutral retention queries over :data:`NAMES`."""
    return st.fixed_dictionaries(
        {
            "start": st.sampled_from(("A", "B")),
            "returns": st.sampled_from(("A", "B", "C")),
            "period": st.sampled_from(("hour", "day", "day", "week", "month")),
            "periods": st.integers(1, 4),
            "week_start": st.sampled_from(("monday", "sunday", "saturday")),
            "rolling": st.booleans(),
            "at": st.sampled_from(("on", "on", "on-or-after", "on-or-before", ((0, 0), (1, 2), (3, 5)))),
            "entry": st.sampled_from(("recurring", "first-time", "first-ever")),
            "min_count": st.sampled_from((1, 1, 2)),
        }
    )
