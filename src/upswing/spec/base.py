"""The ground every definition stands on: strict models, names, labels in two languages, durations as text."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from upswing.core.errors import UpswingError
from upswing.core.i18n import current_locale
from upswing.core.units import Duration


class Spec(BaseModel):
    """A strict, immutable model: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


class Label(Spec):
    """A label in both languages; either may stand for the other."""

    en: str | None = Field(default=None, description="English label.")
    zh: str | None = Field(default=None, description="中文名称。")


class Definition(Spec):
    """What every kind of definition has."""

    cosmetic: ClassVar[frozenset[str]] = frozenset({"label", "description", "owner", "managed"})

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Id: lower_snake_case, never shown.")
    label: str | Label | None = Field(default=None, description="Shown name: text, or {en: …, zh: …}.")
    description: str | None = Field(default=None, description="What it is for.")
    owner: str | None = Field(default=None, description="Who answers for it.")
    managed: Literal["code", "app"] = Field(default="app", description="`code`: read-only on pages.")

    @property
    def shown(self) -> str:
        """The label in the language in force, or the name."""
        if isinstance(self.label, str):
            return self.label
        if self.label is None:
            return self.name
        first, second = self.label.en, self.label.zh
        if current_locale() == "zh-CN":
            first, second = second, first
        return first or second or self.name

    @property
    def hash(self) -> str:
        """Eight hex digits that change when the meaning changes; labels, descriptions and owners do not count."""
        body = self.model_dump(mode="json", exclude=set(self.cosmetic), exclude_defaults=False)
        return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:8]


def _duration(value: Any) -> Duration:
    if not isinstance(value, str | timedelta | Duration):
        raise ValueError(f"needs a unit, got {value!r}; write a duration such as '7d' or '30m'")
    try:
        return Duration.parse(value)
    except UpswingError as error:
        raise ValueError(str(error.message) + (f"; {error.hint}" if error.hint else "")) from None


DurationField = Annotated[
    Duration,
    BeforeValidator(_duration),
    PlainSerializer(str, return_type=str),
    Field(json_schema_extra={"type": "string", "examples": ["7d", "30m"]}),
]
"""A duration in a definition: text with a unit."""
