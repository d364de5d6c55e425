"""Languages: every visible sentence is a message in a gettext catalogue, translated when it is shown.

``text("{n} users", n=3)`` keeps the message and its values; ``str()`` renders it in the language in force. So a result
computed once can be shown in both languages.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final

LOCALES: Final = ("en", "zh-CN")
_locale: ContextVar[str] = ContextVar("upswing_locale", default="en")


class Text:
    """A translatable sentence with named values; rendered by ``str()`` in the language in force."""

    __slots__ = ("message", "values")

    def __init__(self, message: str, values: dict[str, object]) -> None:
        self.message = message
        self.values = values

    def __str__(self) -> str:
        translated = _catalogue(_locale.get()).gettext(self.message) if self.message else ""
        return translated.format(**{k: _spoken(v) for k, v in self.values.items()}) if self.values else translated

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Text | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.message)


def text(message: str, /, **values: object) -> Text:
    """Mark `message` for translation and keep its values.

    Examples:
        >>> str(text("{n} users", n=3))
        '3 users'
    """
    return Text(message, values)


def current_locale() -> str:
    """The language in force: ``en`` or ``zh-CN``."""
    return _locale.get()


def set_locale(locale: str) -> None:
    """Set the language for this context. Anything that begins with ``zh`` is zh-CN, all else en."""
    _locale.set(normalise_locale(locale))


@contextmanager
def use_locale(locale: str) -> Iterator[None]:
    """Use a language inside a ``with`` block."""
    token = _locale.set(normalise_locale(locale))
    try:
        yield
    finally:
        _locale.reset(token)


def normalise_locale(locale: str) -> str:
    """Map any locale name to one that Upswing speaks.

    Examples:
        >>> normalise_locale("zh_Hans_CN.UTF-8"), normalise_locale("de_DE")
        ('zh-CN', 'en')
    """
    return "zh-CN" if locale.lower().startswith("zh") else "en"


def _spoken(value: object) -> object:
    """A value that has words of its own in each language, such as a duration, in those in force."""
    told: Callable[[str], str] | None = getattr(value, "spoken", None)
    return value if told is None else told(_locale.get())


@cache
def _catalogue(locale: str) -> gettext.NullTranslations:
    folder = Path(__file__).parent.parent / "locale"
    return gettext.translation("upswing", folder, languages=[locale.replace("-", "_")], fallback=True)
