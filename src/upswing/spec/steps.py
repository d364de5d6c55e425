"""Steps: which events count. In YAML a mapping, on the command line ``pay[amount > 50]`` or ``view | open``."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field, model_validator
from sqlglot import exp

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.spec.base import DurationField, Label, Mistake, Spec
from upswing.spec.predicates import Condition, ExpressionCondition, conjunction

ANY_EVENT = "*"


class EventMatch(Spec):
    """One or several events (any of them), with conditions. ``event: "*"`` is any event."""

    event: str | None = Field(default=None, description="Event name; '*' for any event.")
    any_of: list[str] | None = Field(default=None, min_length=1, description="Event names, any of them.")
    where: list[Condition] = Field(default_factory=list, description="Conditions, all of them.")

    @model_validator(mode="after")
    def _one_source(self) -> EventMatch:
        if (self.event is None) == (self.any_of is None):
            raise Mistake(text("give either 'event' or 'any_of'"))
        return self

    @property
    def events(self) -> tuple[str, ...] | None:
        """Event names; None = any event."""
        names = tuple(self.any_of or ([self.event] if self.event else []))
        return None if ANY_EVENT in names else names

    def condition(self) -> exp.Expression | None:
        """All conditions as one unbound tree; None where there are none."""
        return conjunction(self.where) if self.where else None

    @property
    def described(self) -> str:
        """As it is written on the command line: event names and, where there are conditions, their text."""
        names = ANY_EVENT if self.events is None else " | ".join(self.events)
        if not self.where:
            return names
        condition = self.condition()
        shown = (
            self.where[0].expr
            if len(self.where) == 1 and isinstance(self.where[0], ExpressionCondition)
            else (condition.sql(dialect="duckdb") if condition is not None else "")
        )
        return f"{names}[{shown}]"

    @property
    def words(self) -> Text | str:
        """The same for people, in the language in force where it is shown."""
        if self.events is not None:
            return self.described
        condition = self.described.removeprefix(ANY_EVENT)
        return text("any event") if not condition else text("any event{condition}", condition=condition)


class Step(EventMatch):
    """A funnel step."""

    name: str | None = Field(default=None, description="Shown name; the event's otherwise.")
    label: str | Label | None = Field(default=None, description="Shown name in both languages.")
    optional: bool = Field(default=False, description="May be skipped.")
    min_gap: DurationField | None = Field(default=None, description="Shortest time since the step before.")
    max_gap: DurationField | None = Field(default=None, description="Longest time since the step before.")
    hold: str | None = Field(
        default=None, description="Property of this step that is held equal (overrides the funnel's)."
    )
    target: float | None = Field(default=None, gt=0, le=1, description="Target pass rate from the step before, 0 to 1.")

    @property
    def shown(self) -> str:
        """The step's name as shown."""
        return self.name or self.described


def parse_match(written: str, *, known: Collection[str] = (), what: str = "step") -> EventMatch:
    """Read ``event``, ``a | b``, ``event[condition]`` or ``*``.

    The text as a whole is an event name when it is one of `known`, whatever signs it has; a name may also stand in
    double quotes.

    Raises:
        UsageError: UP630 not readable; UP010–UP012 a condition that cannot be used.

    Examples:
        >>> parse_match("pay[amount > 50]").described
        'pay[amount > 50]'
        >>> parse_match("view | open").events
        ('view', 'open')
    """
    raw = written.strip()
    if raw in known:
        return EventMatch(event=raw)
    names, condition = _split_condition(raw, what)
    where: list[Condition] = []
    if condition is not None:
        from upswing.sql.expressions import parse_predicate

        parse_predicate(condition, place=f"{what} '{raw}'")
        where = [ExpressionCondition(expr=condition)]
    listed = [names] if names in known else _split_names(names, raw, what)
    if len(listed) == 1:
        return EventMatch(event=listed[0], where=where)
    return EventMatch(any_of=listed, where=where)


def parse_step(written: str, *, known: Collection[str] = ()) -> Step:
    """Read a funnel step as `parse_match` does; a ``?`` at the end makes it optional.

    Examples:
        >>> parse_step("survey?").optional
        True
    """
    raw = written.strip()
    optional = raw.endswith("?") and raw not in known
    match = parse_match(raw[:-1] if optional else raw, known=known)
    return Step(event=match.event, any_of=match.any_of, where=match.where, optional=optional)


def _split_condition(raw: str, what: str) -> tuple[str, str | None]:
    depth, quoted, start = 0, "", -1
    for position, sign in enumerate(raw):
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif (sign == '"' and depth == 0) or (sign in "'\"" and depth):
            quoted = sign
        elif sign == "[":
            if depth == 0:
                start = position
            depth += 1
        elif sign == "]":
            depth -= 1
            if depth == 0 and position == len(raw) - 1:
                return raw[:start].strip(), raw[start + 1 : -1].strip() or None
            if depth < 0:
                break
    if start < 0 and depth == 0:
        return raw, None  # no bracket outside of quotes
    raise UsageError(
        text("{what} '{raw}' has brackets that do not match", what=what, raw=raw),
        code="UP630",
        hint=text("write event[condition], e.g. pay[amount > 50]"),
    )


def _split_names(names: str, raw: str, what: str) -> list[str]:
    found, current, quoted = [], "", False
    for sign in names + "|":
        if sign == '"':
            quoted = not quoted
        elif sign == "|" and not quoted:
            found.append(current.strip())
            current = ""
        else:
            current += sign
    if quoted or not all(found):
        raise UsageError(
            text("{what} '{raw}' names no event", what=what, raw=raw),
            code="UP630",
            hint=text("write an event name, or several with | between them"),
        )
    return found
