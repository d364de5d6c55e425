"""Statements of the embedded log: constant text with holes that only quoted names, literals and fragments can fill."""

from __future__ import annotations

from collections.abc import Iterable


class Fragment(str):
    """A piece of SQL that is safe to place in a statement, because one of this module's functions made it."""

    __slots__ = ()


def name(identifier: str) -> Fragment:
    """A quoted identifier.

    Examples:
        >>> name('say "hi"')
        '"say ""hi\"""'
    """
    return Fragment('"' + identifier.replace('"', '""') + '"')


def literal(value: str | int | bool | None) -> Fragment:
    """A value as a literal, for places that take no bound parameter (views, repeated expressions).

    Examples:
        >>> literal("it's"), literal(3), literal(None)
        ("'it''s'", '3', 'NULL')
    """
    if value is None:
        return Fragment("NULL")
    if isinstance(value, bool):
        return Fragment("true" if value else "false")
    if isinstance(value, int):
        return Fragment(str(int(value)))
    return Fragment("'" + value.replace("'", "''") + "'")


def statement(template: str, /, **holes: Fragment) -> Fragment:
    """Constant text with ``{name}`` holes, each filled with a fragment.

    Raises:
        TypeError: a hole is filled with plain text.

    Examples:
        >>> statement("SELECT {column} FROM events", column=name("a b"))
        'SELECT "a b" FROM events'
    """
    for hole, filled in holes.items():
        if not isinstance(filled, Fragment):
            raise TypeError(f"hole {hole} needs a Fragment, got {type(filled).__name__}")
    return Fragment(template.format(**holes))


def listed(fragments: Iterable[Fragment], separator: str = ", ") -> Fragment:
    """Fragments with a separator between them."""
    return Fragment(separator.join(fragments))
