"""The ground every definition stands on: strict models, names, labels in two languages, durations as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PlainSerializer, ValidationInfo

from upswing.core.errors import UpswingError
from upswing.core.i18n import Text, current_locale, text
from upswing.core.units import Duration

UNNAMED: Final = "written"
"""Name of a definition that is asked and not kept."""


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

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100, description="Id: lower_snake_case, never shown.")
    label: str | Label | None = Field(default=None, description="Shown name: text, or one for each of en and zh.")
    description: str | Label | None = Field(default=None, description="What it is for.")
    owner: str | None = Field(default=None, description="Who answers for it.")
    managed: Literal["code", "app"] = Field(default="app", description="`code`: read-only on pages.")

    @property
    def shown(self) -> str:
        """The label in the language in force, or the name."""
        return label_shown(self.label) or (str(text("not saved")) if self.name == UNNAMED else self.name)

    @property
    def told(self) -> str:
        """The description in the language in force, or nothing."""
        return label_shown(self.description) or ""

    @property
    def hash(self) -> str:
        """Eight hex digits that change when the meaning changes; labels, descriptions and owners do not count."""
        body = self.model_dump(mode="json", exclude=set(self.cosmetic), exclude_defaults=False)
        return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:8]


def label_shown(label: str | Label | None) -> str | None:
    """A label in the language in force; the other language stands in where one is missing."""
    if label is None or isinstance(label, str):
        return label
    first, second = (label.zh, label.en) if current_locale() == "zh-CN" else (label.en, label.zh)
    return first or second


class Mistake(ValueError):  # noqa: N818 - pydantic collects these; they are not raised to callers
    """What a model's own check found: words, a code where there is a nearer one than "value not valid", the way out.

    Examples:
        >>> str(Mistake("give either x or y"))
        'give either x or y'
    """

    def __init__(self, message: Text | str, *, code: str = "UP105", hint: Text | str | None = None) -> None:
        self.text, self.code, self.hint = message, code, hint
        super().__init__(str(message))

    @classmethod
    def of(cls, error: UpswingError) -> Mistake:
        """An error of a part, as a mistake of the model that holds it."""
        return cls(error.message, code=error.code, hint=error.hint)


def told_by_key(keys: Mapping[str, str]) -> Discriminator:
    """Which of several models a mapping is meant to be: told by its first key, so that mistakes are those of that model.

    Args:
        keys: key → name of the model, in the order in which keys are looked for. The members of the union carry the tag
            ``<name of the model>``.
    """

    def tag(value: Any) -> str | None:
        if isinstance(value, Mapping):
            return next((f"<{name}>" for key, name in keys.items() if key in value), None)
        name = type(value).__name__
        return f"<{name}>" if name in keys.values() else None

    return Discriminator(
        tag,
        custom_error_type="no_condition",
        custom_error_message="must have one of the keys {keys}",
        custom_error_context={"keys": ", ".join(keys)},
    )


def _duration(value: Any, info: ValidationInfo) -> Duration:
    try:
        return Duration.parse(value, what=info.field_name or "duration")
    except UpswingError as error:
        raise Mistake.of(error) from None


DurationField = Annotated[
    Duration,
    BeforeValidator(_duration),
    PlainSerializer(str, return_type=str),
    Field(json_schema_extra={"type": "string", "examples": ["7d", "30m"]}),
]
"""A duration in a definition: text with a unit."""
