"""Reading times: ISO with or without zone, epochs, national formats; naive times are in the workspace's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from upswing.core.calendar import Calendar, to_micros
from upswing.core.errors import DataError, UsageError
from upswing.core.i18n import text
from upswing.core.units import DAY, MINUTE
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore

EARLIEST: Final = to_micros(datetime(1900, 1, 1, tzinfo=UTC))
LATEST: Final = to_micros(datetime(2200, 1, 1, tzinfo=UTC))
"""Times outside [EARLIEST, LATEST) are placeholders or mistakes; such rows are set aside."""

Form = Literal["iso", "s", "ms", "us", "ns", "pattern", "timestamp", "timestamptz", "date"]

_EPOCHS: Final[dict[str, Form]] = {
    "iso": "iso", "epoch": "s", "s": "s", "ms": "ms", "us": "us", "µs": "us", "ns": "ns",
}  # fmt: skip
_EPOCH_LIMITS: Final[tuple[tuple[Form, int], ...]] = (("s", 10**11), ("ms", 10**14), ("us", 10**17), ("ns", 10**20))
_CLOCKS: Final = (" %H:%M:%S.%f", " %H:%M:%S", " %H:%M", "")
_DAY_FIRST: Final = ("%d/%m/%Y", "%d/%m/%y")
_MONTH_FIRST: Final = ("%m/%d/%Y", "%m/%d/%y")
_PATTERNS: Final[tuple[tuple[str, ...], ...]] = (
    # Each group is one way of writing; its members differ in how exact the clock is.
    tuple(_DAY_FIRST[0] + clock for clock in (*_CLOCKS, " %I:%M:%S %p", " %I:%M %p")),
    tuple(_MONTH_FIRST[0] + clock for clock in (*_CLOCKS, " %I:%M:%S %p", " %I:%M %p")),
    tuple("%d.%m.%Y" + clock for clock in _CLOCKS),
    tuple("%Y.%m.%d" + clock for clock in _CLOCKS),
    tuple("%d-%m-%Y" + clock for clock in _CLOCKS),
    (
        "%Y年%m月%d日 %H时%M分%S秒",
        "%Y年%m月%d日 %H:%M:%S",
        "%Y年%m月%d日%H:%M:%S",
        "%Y年%m月%d日 %H:%M",
        "%Y年%m月%d日",
    ),
    ("%Y%m%d%H%M%S", "%Y%m%d %H:%M:%S", "%Y%m%d"),
    ("%a, %d %b %Y %H:%M:%S %z", "%d/%b/%Y:%H:%M:%S %z"),
    ("%d %b %Y %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d, %Y %H:%M:%S"),
    tuple(_DAY_FIRST[1] + clock for clock in _CLOCKS),
    tuple(_MONTH_FIRST[1] + clock for clock in _CLOCKS),
)
_SAMPLE: Final = 2000
_UTC: Final = ("UTC", "Etc/UTC", "GMT")


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How a column writes times.

    Args:
        form: ISO text, an epoch unit, strptime patterns, or a column that is typed already.
        patterns: for ``pattern``: tried in order.
    """

    form: Form
    patterns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " | ".join(self.patterns) or self.form

    @property
    def absolute(self) -> bool:
        """Whether every value carries its zone, so that the workspace's zone plays no part."""
        zoned = all("%z" in p or "%Z" in p for p in self.patterns)
        return self.form in ("s", "ms", "us", "ns", "timestamptz") or (self.form == "pattern" and zoned)


def parse_time_format(written: str) -> TimeFormat:
    """An explicit format: ``iso``, ``s``, ``ms``, ``us``, ``ns``, or a strptime pattern.

    Raises:
        UsageError: UP633 neither.

    Examples:
        >>> str(parse_time_format("%d/%m/%Y %H:%M"))
        '%d/%m/%Y %H:%M'
    """
    form = _EPOCHS.get(written.strip().lower())
    if form is not None:
        return TimeFormat(form)
    if "%" not in written:
        raise UsageError(
            text("'{format}' is not a time format", format=written),
            code="UP633",
            hint=text("write iso, s, ms, us, ns or a pattern such as %d/%m/%Y %H:%M"),
        )
    return TimeFormat("pattern", (written,))


def detect_time_format(store: EventStore, relation: Fragment, column: Fragment) -> TimeFormat | None:
    """The format that reads most values of a text column; None when none reads half of them.

    A sample decides when one format reads all of it; otherwise all rows are asked.

    Raises:
        DataError: UP333 day-first and month-first fit equally well, so choosing would be guessing.
    """
    head = statement(
        "(SELECT {column} AS sampled FROM {relation} WHERE {column} IS NOT NULL LIMIT {n})",
        column=column, relation=relation, n=literal(_SAMPLE),
    )  # fmt: skip
    sampled = name("sampled")
    candidates = _candidates(store, head, sampled)
    total, scores = _scores(store, head, sampled, candidates)
    if total == 0:
        return None
    ambiguous = sum(score == max(scores) for score in scores) > 1
    if max(scores) < total or ambiguous:
        total, scores = _scores(store, relation, column, candidates)
    best = max(scores)
    if best * 2 < total:
        return None
    _refuse_guess(store, relation, column, candidates, scores)
    return candidates[scores.index(best)]


def wall_micros(column: Fragment, fmt: TimeFormat) -> Fragment:
    """Expression: µs since the epoch with naive times read as if they were UTC; NULL where unreadable."""
    if fmt.form == "iso":
        return statement("epoch_us(try_cast({x} AS TIMESTAMPTZ))", x=column)
    if fmt.form == "pattern":
        patterns = listed(literal(p) for p in fmt.patterns)
        return statement("epoch_us(try_strptime({x}, [{patterns}]))", x=column, patterns=patterns)
    if fmt.form in ("timestamp", "timestamptz", "date"):
        return statement("epoch_us({x})", x=column if fmt.form != "date" else _as_timestamp(column))
    if fmt.form in ("us", "ns"):
        per = literal(1 if fmt.form == "us" else 1000)
        return statement("try_cast({x} AS BIGINT) // {per}", x=column, per=per)
    factor = literal(1_000_000 if fmt.form == "s" else 1000)
    return statement("try_cast(round(try_cast({x} AS DOUBLE) * {factor}) AS BIGINT)", x=column, factor=factor)


def to_utc(
    store: EventStore,
    relation: Fragment,
    column: Fragment,
    fmt: TimeFormat,
    calendar: Calendar,
    span: tuple[int, int] | None,
    *,
    wall: Fragment | None = None,
) -> tuple[Fragment, tuple[int, int] | None]:
    """Expression: µs UTC, naive times read in the calendar's zone; and a span that no row is outside of.

    A time that the clocks skipped or repeated is read as `Calendar.instant` reads it (PEP 495, fold 0).

    Args:
        store: to ask whether the column mixes times with and without a zone.
        relation: where the column is.
        column: the column.
        fmt: how it is written.
        calendar: the workspace's zone.
        span: least and greatest value of `wall_micros`, so that only the changes of the clock inside are looked at.
        wall: expression that gives `wall_micros` of the column, where it was computed before.
    """
    wall = wall or wall_micros(column, fmt)
    if fmt.absolute or span is None or calendar.timezone in _UTC:
        return wall, span
    changes = _changes(calendar, span[0] - 2 * DAY, span[1] + 2 * DAY)
    shift = _piecewise(wall, changes)
    offsets = [offset for _, offset in changes]
    with_zone, all_rows = 0, 1
    if fmt.form == "iso":
        with_zone, all_rows = (
            int(str(n))
            for n in store.row(
                statement("SELECT count(*) FILTER ({z}), count({x}) FROM {r}", z=zoned(column), x=column, r=relation)
            )
        )
    if with_zone == all_rows:
        return wall, span
    if with_zone:
        offsets.append(0)
        shift = statement("CASE WHEN {zoned} THEN 0 ELSE {shift} END", zoned=zoned(column), shift=shift)
    return statement("({wall} - {shift})", wall=wall, shift=shift), (span[0] - max(offsets), span[1] - min(offsets))


def zoned(column: Fragment) -> Fragment:
    """Expression: whether an ISO time carries an offset or the name of a zone, which follow date and hour."""
    return statement("regexp_matches(substr({x}, 12), '[-+A-Za-z]')", x=column)


def _piecewise(wall: Fragment, changes: list[tuple[int, int]]) -> Fragment:
    shift = literal(changes[0][1])
    if len(changes) == 1:
        return shift
    steps = listed(
        (
            statement("WHEN {wall} < {until} THEN {offset}", wall=wall, until=literal(until), offset=literal(offset))
            for (_, offset), (until, _) in pairwise(changes)
        ),
        " ",
    )
    return statement("CASE {steps} ELSE {last} END", steps=steps, last=literal(changes[-1][1]))


def _changes(calendar: Calendar, start: int, stop: int) -> list[tuple[int, int]]:
    """(wall-clock µs from which it holds, offset µs) of the zone's offsets in the span, in order.

    At a change of the clock at instant T from offset a to b, readings before T + max(a, b) still mean a: in the
    repeated hour the first pass, in the skipped hour the clock before.
    """

    def offset(at: int) -> int:
        moment = calendar.local(at).utcoffset() or timedelta()
        return moment // timedelta(microseconds=1)

    found = [(start, offset(start))]
    at = start
    while at < stop:
        following = min(at + DAY, stop)
        before, after = offset(at), offset(following)
        if before != after:
            lo, hi = at, following
            while hi - lo > MINUTE // 60:
                middle = (lo + hi) // 2
                lo, hi = (middle, hi) if offset(middle) == before else (lo, middle)
            instant = round(hi / 1_000_000) * 1_000_000
            found.append((instant + max(before, after), after))
        at = following
    return found


def _as_timestamp(column: Fragment) -> Fragment:
    return statement("CAST({x} AS TIMESTAMP)", x=column)


def _candidates(store: EventStore, head: Fragment, column: Fragment) -> list[TimeFormat]:
    found = [TimeFormat("iso")]
    middle = store.value(statement("SELECT median(abs(try_cast({x} AS DOUBLE))) FROM {head}", x=column, head=head))
    compact = store.value(
        statement(
            "SELECT count(*) FILTER (regexp_full_match({x}, '(19|20)\\d{digits}')) * 2 > count(*) FROM {head}",
            x=column, head=head, digits=Fragment("{6}(\\d{6})?"),
        )
    )  # fmt: skip
    if isinstance(middle, float) and not compact:
        found += [TimeFormat(form) for form, limit in _EPOCH_LIMITS if middle < limit][:1]
    found += [TimeFormat("pattern", group) for group in _PATTERNS]
    return found


def _scores(
    store: EventStore, relation: Fragment, column: Fragment, candidates: list[TimeFormat]
) -> tuple[int, list[int]]:
    counts = listed(
        statement(
            "count(*) FILTER ({t} >= {lo} AND {t} < {hi})",
            t=wall_micros(column, c), lo=literal(EARLIEST), hi=literal(LATEST),
        )
        for c in candidates
    )  # fmt: skip
    found = store.row(
        statement("SELECT count({x}), {counts} FROM {relation}", x=column, counts=counts, relation=relation)
    )
    total, *scores = (int(str(n)) for n in found)
    return total, scores


def _refuse_guess(
    store: EventStore, relation: Fragment, column: Fragment, candidates: list[TimeFormat], scores: list[int]
) -> None:
    best = max(scores)
    tied = [c.patterns[0] for c, score in zip(candidates, scores, strict=True) if score == best and c.patterns]
    for day, month in zip(_DAY_FIRST, _MONTH_FIRST, strict=True):
        first = [p for p in tied if p.startswith((day + " ", month + " "))]
        if len(first) == 2 and candidates[scores.index(best)].patterns[:1] == (first[0],):
            example = store.value(
                statement("SELECT {x} FROM {relation} WHERE {x} IS NOT NULL LIMIT 1", x=column, relation=relation)
            )
            raise DataError(
                text("'{value}' may have the day or the month first; every row fits both", value=example),
                code="UP333",
                hint=text("say which: --time-format '{day}' or '{month}'", day=first[0], month=first[1]),
            )
