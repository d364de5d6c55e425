"""Types of property columns, decided over all rows; and how a file's type meets the type that the log has already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from upswing.engines.base import PropertyType
from upswing.events.statements import Fragment, listed, literal, statement
from upswing.events.store import EventStore

TOLERATED: Final = 0.01
"""Share of unreadable values up to which a column still counts as numeric; those rows are set aside."""

EXACT: Final = 2**53 - 1
"""Whole numbers beyond ± this may lose digits as a number."""

NO_VALUE: Final = ("null", "none", "na", "n/a", "nan", "\\n", "-")
"""Words that mean "no value" in a column that is numeric otherwise; compared in lower case."""

PHYSICAL: Final[Mapping[PropertyType, str]] = {
    "text": "VARCHAR", "number": "DOUBLE", "integer": "BIGINT", "boolean": "BOOLEAN",
    "time": "TIMESTAMP", "date": "DATE", "json": "VARCHAR",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    """Counts over all rows of a text column; which of its values can be read as what.

    Args:
        values: values that are not null.
        integers: whole numbers in their usual spelling (so ``007`` is none).
        numbers: finite numbers, whole ones included where exact.
        codes: look like numbers but would lose digits: leading zeros, too long, ``1_000``.
        blanks: words that mean no value.
        booleans: ``true`` or ``false``.
        dates: ISO dates.
        times: ISO times.
        strings: for JSON, values written in quotes; None where the source does not say.
    """

    values: int
    integers: int = 0
    numbers: int = 0
    codes: int = 0
    blanks: int = 0
    booleans: int = 0
    dates: int = 0
    times: int = 0
    strings: int | None = None

    @property
    def type(self) -> PropertyType | None:
        """The narrowest type that loses nothing; None when there is no value at all."""
        if self.values == 0:
            return None
        if self.strings is None or self.strings <= TOLERATED * self.values:
            if self.booleans == self.values:
                return "boolean"
            readable = max(self.integers, self.numbers)
            bad = self.values - self.blanks - readable
            if readable and not self.codes and bad <= TOLERATED * (self.values - self.blanks):
                return "integer" if self.integers >= self.numbers else "number"
        if self.dates == self.values:
            return "date"
        return "time" if self.times and self.dates + self.times == self.values else "text"

    @property
    def unreadable(self) -> int:
        """Values that the type does not allow; their rows go to quarantine."""
        if self.type not in ("integer", "number"):
            return 0
        return self.values - self.blanks - (self.integers if self.type == "integer" else self.numbers)


def profile_columns(store: EventStore, relation: Fragment, columns: Sequence[Fragment]) -> list[Profile]:
    """Profiles of text columns over all rows.

    The first rows only choose which counts to begin with; a column that they describe wrongly is counted in full.
    """
    if not columns:
        return []
    head = statement("(SELECT * FROM {relation} LIMIT 5000)", relation=relation)
    guesses = _counted(store, head, columns, [_ALL] * len(columns))
    wanted = [_first_counts(g) for g in guesses]
    profiles = _counted(store, relation, columns, wanted)
    unsettled = [i for i, (p, w) in enumerate(zip(profiles, wanted, strict=True)) if not _settled(p, w)]
    if unsettled:
        again = _counted(store, relation, [columns[i] for i in unsettled], [_ALL] * len(unsettled))
        for i, profile in zip(unsettled, again, strict=True):
            profiles[i] = profile
    return profiles


def read_as(column: Fragment, kind: PropertyType) -> Fragment:
    """Expression: a text column read as a type; NULL where empty or unreadable. Times are handled by `times`."""
    if kind in ("text", "json"):
        return column
    return statement("try_cast({x} AS {type})", x=column, type=Fragment(PHYSICAL[kind]))


def unreadable(column: Fragment, kind: PropertyType) -> Fragment:
    """Expression: whether a value of a numeric column is neither readable nor a word for no value."""
    good = _NUMBER if kind == "number" else _INTEGER
    words = listed(literal(w) for w in NO_VALUE)
    return statement(
        "({x} IS NOT NULL AND NOT coalesce({good}, false) AND lower(trim({x})) NOT IN ({words}))",
        x=column, good=statement(good, x=column), words=words,
    )  # fmt: skip


# A character below ':' begins every number; the test spares most texts the attempt.
_INTEGER: Final = (
    "(CASE WHEN {x} >= ':' THEN false WHEN CAST(try_cast({x} AS BIGINT) AS VARCHAR) = {x} THEN true"
    " WHEN contains({x}, ' ') THEN CAST(try_cast({x} AS BIGINT) AS VARCHAR) = trim({x}) END)"
)
_CODE: Final = (
    "(CASE WHEN {x} < ':' AND try_cast({x} AS DOUBLE) IS NOT NULL"
    " THEN (CASE WHEN {x} < '1' THEN regexp_matches(trim({x}), '^[-+]?0[0-9xXbB]') ELSE false END) OR contains({x}, '_')"
    " OR (abs(try_cast({x} AS DOUBLE)) > 9007199254740991 AND try_cast({x} AS BIGINT) IS NULL"
    " AND NOT regexp_matches({x}, '[.eE]')) END)"
)
_NUMBER: Final = (
    "(CASE WHEN {x} < ':' THEN isfinite(try_cast({x} AS DOUBLE))"
    " AND (abs(try_cast({x} AS DOUBLE)) <= 9007199254740991 OR regexp_matches({x}, '[.eE]')) END)"
)
# A number for certain, and no code: one reading of the value, for columns where every value is like that.
_PLAIN: Final = (
    "(CASE WHEN {x} >= ':' OR contains({x}, '_') THEN false"
    " WHEN {x} < '1' AND regexp_matches({x}, '^ *[-+]?0[0-9xXbB]') THEN false"
    " ELSE try_cast({x} AS DOUBLE) BETWEEN -9007199254740991 AND 9007199254740991 END)"
)
_QUICK_NUMBER: Final = "(CASE WHEN {x} < ':' THEN try_cast({x} AS DOUBLE) IS NOT NULL END)"
_COUNTS: Final[Mapping[str, str]] = {
    "values": "count({x})",
    "integers": "count(*) FILTER (" + _INTEGER + ")",
    "numbers": "count(*) FILTER (" + _NUMBER + ")",
    "plain": "count(*) FILTER (" + _PLAIN + ")",
    "quick": "count(*) FILTER (" + _QUICK_NUMBER + ")",
    "codes": "count(*) FILTER (" + _CODE + ")",
    "blanks": "count(*) FILTER (lower(trim({x})) IN ({words}))",
    "booleans": "count(*) FILTER ({x} IN ('true', 'false', 'True', 'False', 'TRUE', 'FALSE'))",
    "dates": "count(*) FILTER (CASE WHEN {x} < ':' AND length({x}) = 10 AND substr({x}, 5, 1) = '-'"
    " THEN try_cast({x} AS DATE) IS NOT NULL END)",
    "times": "count(*) FILTER (CASE WHEN {x} < ':' AND length({x}) > 10 AND substr({x}, 5, 1) = '-'"
    " THEN try_cast({x} AS TIMESTAMPTZ) IS NOT NULL END)",
}
_ALL: Final = ("values", "integers", "numbers", "codes", "blanks", "booleans", "dates", "times")


def _first_counts(guess: Profile) -> tuple[str, ...]:
    if guess.values and guess.integers == guess.values:
        return ("values", "integers")
    if guess.values and guess.numbers == guess.values:
        return ("values", "plain")
    return ("values", "quick") if guess.type == "text" else _ALL


def _settled(profile: Profile, counted: tuple[str, ...]) -> bool:
    """Whether the counts that were made decide the type for good."""
    if counted == _ALL or profile.values == 0:
        return True
    if "quick" in counted:  # a text value was seen, so it can only be numbers with a few other values
        return profile.numbers == 0
    return (profile.integers if counted == ("values", "integers") else profile.numbers) == profile.values


def _counted(
    store: EventStore, relation: Fragment, columns: Sequence[Fragment], wanted: Sequence[tuple[str, ...]]
) -> list[Profile]:
    words = listed(literal(w) for w in NO_VALUE)
    counts = listed(
        statement(_COUNTS[count], x=column, words=words)
        for column, asked in zip(columns, wanted, strict=True)
        for count in asked
    )
    found = iter(store.row(statement("SELECT {counts} FROM {relation}", counts=counts, relation=relation)))
    profiles = []
    for asked in wanted:
        made = {("numbers" if count in ("quick", "plain") else count): int(str(next(found))) for count in asked}
        profiles.append(Profile(**made))
    return profiles
