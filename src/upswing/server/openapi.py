"""The OpenAPI document in other languages: its sentences are messages of the catalogue like all others."""

from __future__ import annotations

import re
from typing import Any, Final

from upswing.core.i18n import Text, use_locale

_SENTENCES: Final = ("summary", "description")
_WITH_DEFAULT: Final = re.compile(r"(.*)( \[[^\[\]]*\])", re.DOTALL)


def in_words_of(locale: str, document: dict[str, Any]) -> dict[str, Any]:
    """A copy of the document with its summaries, descriptions and tags in a language; what has no translation stays.

    Args:
        locale: ``en`` or ``zh-CN``.
        document: as FastAPI makes it, in English.

    Examples:
        >>> in_words_of("zh-CN", {"paths": {"/x": {"get": {"summary": "Too large", "operationId": "x"}}}})["paths"].keys()
        dict_keys(['/x'])
    """
    with use_locale(locale):
        return {key: _said(key, value) for key, value in document.items()}


def _said(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _said(inner, held) for inner, held in value.items()}
    if isinstance(value, list):
        return [_sentence(held) if key == "tags" and isinstance(held, str) else _said("", held) for held in value]
    return _sentence(value) if key in _SENTENCES and isinstance(value, str) else value


def _sentence(message: str) -> str:
    """A message in the language in force; a default in brackets after it stays."""
    said = str(Text(message, {}))
    default = _WITH_DEFAULT.fullmatch(message)
    return said if said != message or default is None else str(Text(default[1], {})) + default[2]
