"""Small logs for kernels: hypothesis strategies, and events laid out as batches."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from hypothesis import strategies as st

from tests.oracles.event import DAY, HOUR, Event, by_user
from upswing.core.calendar import Calendar
from upswing.sequences.batch import Sequences

Test = Callable[[Event], bool]
ZONES = ("UTC", "Europe/Berlin", "Asia/Shanghai", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe")


def batch(
    events: Iterable[Event], marks: Sequence[Test] = (), columns: Sequence[Callable[[Event], float]] = ()
) -> Sequences:
    """Events as one batch; user keys follow the sorted user names."""
    users = by_user(events)
    names = sorted(users)
    rows = [e for name in names for e in users[name]]
    bits = [sum(1 << j for j, test in enumerate(marks) if test(e)) for e in rows]
    return Sequences(
        users=np.arange(1, len(names) + 1, dtype=np.int64),
        offsets=np.cumsum([0, *(len(users[name]) for name in names)]).astype(np.int64),
        times=np.array([e.time for e in rows], dtype=np.int64),
        marks=np.array(bits, dtype=np.uint8),
        columns=tuple(np.array([column(e) for e in rows]) for column in columns),
    )


def named(name: str) -> Test:
    return lambda event: event.name == name


@st.composite
def logs(draw, *, zone: str = "UTC", days: int = 12, names: str = "abc", max_users: int = 4, max_events: int = 14):
    """Random logs around a change of clocks, with ties, repeats and instants on the edges of local days."""
    calendar = Calendar(zone)
    origin = calendar.instant(draw(st.sampled_from(["2026-03-25", "2026-10-20", "2026-01-29"])))
    edges = calendar.edges("day", origin, origin + days * DAY).tolist()
    inside = st.integers(0, days * 24 * 4).map(lambda quarter: origin + quarter * (HOUR // 4))
    moment = st.one_of(inside, st.sampled_from(edges), st.sampled_from(edges).map(lambda t: max(origin, t - 1)))
    found = []
    for user in range(draw(st.integers(1, max_users))):
        for _ in range(draw(st.integers(0, max_events))):
            props = {"plan": draw(st.sampled_from(["x", "y", None])), "amount": float(draw(st.integers(0, 5)))}
            found.append((f"u{user}", draw(moment), draw(st.sampled_from(names)), props))
    return [Event(user, time, row, name, props) for row, (user, time, name, props) in enumerate(found)]
