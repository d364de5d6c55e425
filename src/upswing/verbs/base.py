"""What a verb and its arguments are, and the arguments that many verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from upswing.core.i18n import Text, text

ParamKind = Literal["text", "integer", "number", "flag", "choice"]


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of a verb.

    Args:
        key: keyword of the Python method.
        help: what it does, for --help and the reference.
        kind: how its text is read.
        option: the command-line option without dashes, where it is not the key (``from`` is a Python keyword).
        many: may be given several times; Python takes a list.
        choices: allowed values of kind ``choice``.
        default: value when absent, as shown in help.
        positional: a command-line argument rather than an option.
        local: names a file of this machine, so only its own command line and Python have it.
        writes: changes the workspace, so it is no parameter of a GET request and needs an editor.
    """

    key: str
    help: Text
    kind: ParamKind = "text"
    option: str = ""
    many: bool = False
    choices: tuple[str, ...] = ()
    default: str | int | float | bool | None = None
    positional: bool = False
    writes: bool = False
    local: bool = False

    @property
    def flag(self) -> str:
        """Name on the command line and in a query string."""
        return self.option or self.key.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Verb:
    """A question Upswing answers."""

    name: str
    help: Text
    params: tuple[Param, ...]
    group: Text

    @property
    def method(self) -> str:
        """Name of the method of Workspace."""
        return self.name.replace("-", "_")


# arguments that many verbs share
FROM: Final = Param("start", text("First moment of the range, e.g. 2026-10-01 (inclusive)"), option="from")
TO: Final = Param("stop", text("End of the range (exclusive)"), option="to")
SEGMENT: Final = Param("segment", text("Only users of this segment: a name, or a condition on what users are"))
BY: Final = Param("by", text("Break down by a property; 'segment:NAME' compares a segment with everybody else"))
LIMIT: Final = Param("limit", text("Most groups shown; the rest is '(other)'"), "integer", default=10)
WHERE: Final = Param("where", text("Only events that meet this condition, e.g. \"platform = 'ios'\""))
PERIODS: Final = ("hour", "day", "week", "month")
# headings of the command line's help and of the pages' navigation
DIAGNOSE: Final = text("Diagnose")
DATA: Final = text("Data")
STRATEGY: Final = text("Strategy")
