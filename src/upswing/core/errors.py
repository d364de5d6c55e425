"""Errors that name the place, the cause and the nearest valid choice.

Tree::

    UpswingError            exit 1
    ├── UsageError          exit 2   a call, option or question that makes no sense
    ├── DefinitionError     exit 2   a definition file with problems; carries all of them
    ├── DataError           exit 3   the data cannot answer, or cannot be read
    └── EngineError         exit 4   the engine failed, is locked, or is out of disk

Codes are ``UPnnn``: 0xx syntax, 1xx shape, 2xx references, 3xx data, 4xx statistics, 5xx deprecations, 6xx usage,
7xx engine, 8xx server.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from upswing.core.i18n import Text, text

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, with its place and a way out.

    Args:
        code: ``UPnnn``.
        message: what is wrong, in words.
        file: file it is in, as the user named it; None for a command line or a call.
        line: 1-based line, None where there is none.
        column: 1-based column.
        hint: what to do, e.g. the nearest valid choice.
        severity: ``error`` or ``warning``.

    Examples:
        >>> print(Problem("UP101", text("unknown key {key}", key="were"), file="a.yml", line=7, column=5))
        a.yml:7:5: UP101 unknown key were
    """

    code: str
    message: Text | str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    hint: Text | str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        place = ":".join(str(p) for p in (self.file, self.line, self.column) if p is not None)
        head = f"{place}: " if place else ""
        tail = "\n    " + str(text("hint: {hint}", hint=self.hint)) if self.hint else ""
        return f"{head}{self.code} {self.message}{tail}"

    def to_dict(self) -> dict[str, object]:
        """The problem as plain data, for JSON."""
        return {
            "code": self.code,
            "message": str(self.message),
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "hint": str(self.hint) if self.hint else None,
            "severity": self.severity,
        }


class UpswingError(Exception):
    """Base of every error Upswing raises on purpose.

    Args:
        message: what is wrong.
        code: ``UPnnn``.
        hint: the way out.
        problems: all problems found, where several are reported at once.
    """

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "UP600"

    def __init__(
        self,
        message: Text | str,
        *,
        code: str | None = None,
        hint: Text | str | None = None,
        problems: Iterable[Problem] = (),
    ) -> None:
        self.code = code or self.default_code
        self.message = message
        self.hint = hint
        self.problems = tuple(problems)
        super().__init__(str(message))

    def __str__(self) -> str:
        if self.problems:
            return "\n".join(str(p) for p in self.problems)
        return str(Problem(self.code, self.message, hint=self.hint))

    def to_dict(self) -> dict[str, object]:
        """One error shape everywhere: CLI ``--json``, HTTP."""
        listed = self.problems or (Problem(self.code, self.message, hint=self.hint),)
        return {"ok": False, "error": str(self.message), "code": self.code, "errors": [p.to_dict() for p in listed]}


class UsageError(UpswingError):
    """The call or option makes no sense as given."""

    exit_code = 2
    default_code = "UP600"


class DefinitionError(UpswingError):
    """A definition has problems; `problems` lists them all."""

    exit_code = 2
    default_code = "UP100"


class DataError(UpswingError):
    """The data cannot be read or cannot answer."""

    exit_code = 3
    default_code = "UP300"


class EngineError(UpswingError):
    """The engine failed: locked, out of disk, not reachable."""

    exit_code = 4
    default_code = "UP700"


@dataclass(slots=True)
class Problems:
    """A collector: pass one down and readers record and go on; at the end `raise_if_any`."""

    found: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem) -> None:
        """Record one problem."""
        self.found.append(problem)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def errors(self) -> list[Problem]:
        """The problems that are errors, not warnings."""
        return [p for p in self.found if p.severity == "error"]

    def raise_if_any(self) -> None:
        """Raise one DefinitionError with everything recorded, if any of it is an error."""
        if self.errors:
            raise DefinitionError(self.errors[0].message, code=self.errors[0].code, problems=self.found)


def nearest(word: str, choices: Iterable[str], *, count: int = 3) -> list[str]:
    """The choices most like `word`, best first; case and spaces count little.

    Examples:
        >>> nearest("sign_pu", ["sign_up", "pay", "open"])
        ['sign_up']
    """
    folded: dict[str, str] = {}
    for choice in choices:
        folded.setdefault(choice.casefold(), choice)
    close = difflib.get_close_matches(word.casefold(), list(folded), n=count, cutoff=0.5)
    inside = [key for key in folded if word.casefold() and word.casefold() in key and key not in close]
    return [folded[key] for key in (close + inside)[:count]]


def did_you_mean(word: str, choices: Iterable[str]) -> Text | None:
    """A hint naming the nearest choices, or the first few valid ones when none is near."""
    listed = list(choices)
    close = nearest(word, listed)
    if close:
        return text("did you mean {choices}?", choices=", ".join(f"'{c}'" for c in close))
    if not listed:
        return None
    shown = ", ".join(f"'{c}'" for c in sorted(listed)[:8]) + (", …" if len(listed) > 8 else "")
    return text("choose one of {choices}", choices=shown)
