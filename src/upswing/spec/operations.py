"""Parts of ``upswing.yml`` about running a workspace: how long events are kept, what comes round, who is told what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from upswing.core.i18n import text
from upswing.core.units import MINUTE, Duration
from upswing.spec.base import DurationField, Mistake, Spec

_NAME = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name of the channel.")


class KeepRule(Spec):
    """How long events of a kind are kept; older ones are deleted by the daily job."""

    event: str = Field(description="Name of the event; '*' = every event without a rule of its own.")
    keep: DurationField = Field(description="Events older than this are deleted, e.g. 400d.")


class WebhookChannel(Spec):
    """A POST with a JSON body to an address."""

    type: Literal["webhook"] = Field(description="webhook")
    name: str = _NAME
    url: str = Field(description="Where to; secrets only as ${ENV} or secret:NAME.")
    secret: str | None = Field(default=None, description="Signs the body (HMAC-SHA256): ${ENV} or secret:NAME.")


class MailChannel(Spec):
    """E-mail over SMTP."""

    type: Literal["smtp"] = Field(description="smtp")
    name: str = _NAME
    host: str = Field(description="Mail server.")
    port: int = Field(default=587, ge=1, le=65535, description="587 with STARTTLS, 465 with TLS.")
    security: Literal["starttls", "tls", "none"] = Field(default="starttls", description="How the line is encrypted.")
    user: str | None = Field(default=None, description="Name to sign in with.")
    password: str | None = Field(default=None, description="${ENV} or secret:NAME.")
    sender: str = Field(alias="from", description="Address of the sender.")
    to: list[str] = Field(min_length=1, description="Addresses of the readers.")


class AppriseChannel(Spec):
    """Feishu, DingTalk, WeCom, Slack and others through apprise (extra `notify`)."""

    type: Literal["apprise"] = Field(description="apprise")
    name: str = _NAME
    url: str = Field(description="Apprise URL such as feishu://TOKEN; secrets only as ${ENV} or secret:NAME.")


Channel = Annotated[WebhookChannel | MailChannel | AppriseChannel, Field(discriminator="type")]


class QuietHours(Spec):
    """Hours in the workspace's zone in which only critical alerts are told; the others wait until they end."""

    begin: str = Field(alias="from", description="HH:MM", examples=["22:00"])
    end: str = Field(alias="to", description="HH:MM", examples=["08:00"])

    @field_validator("begin", "end")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        hour, _, minute = value.partition(":")
        if not (hour.isdigit() and minute.isdigit() and len(minute) == 2 and int(hour) < 24 and int(minute) < 60):
            raise Mistake(text("'{value}' is not a time of day", value=value), hint=text("write 22:00"))
        return f"{int(hour):02d}:{minute}"


Every = DurationField | Literal["off"]
"""Time between two runs, or never."""


class JobsSpec(Spec):
    """How often the server does by itself what nobody has to ask for; ``off`` is never. Read at its start."""

    refresh: Every = Field(
        default="15m", validate_default=True, description="Asks again what people look at, so that it is there."
    )
    watch: Every = Field(default="1h", validate_default=True, description="Tells what is unusual about any metric.")
    guardrails: Every = Field(
        default="15m", validate_default=True, description="Tells where guardrails of running experiments get worse."
    )
    compact: Every = Field(default="1d", validate_default=True, description="Rewrites the log when that is worth it.")

    @model_validator(mode="after")
    def _not_all_the_time(self) -> JobsSpec:
        for name in type(self).model_fields:
            every = getattr(self, name)
            if isinstance(every, Duration) and every.microseconds < MINUTE:
                raise Mistake(text("'{name}' comes round once a minute at most", name=name))
        return self


class NotifySpec(Spec):
    """Who is told when something needs people."""

    channels: list[Channel] = Field(default_factory=list, description="Where alerts go; each alert goes to all.")
    quiet: QuietHours | None = Field(default=None, description="Hours in which alerts wait.")

    @model_validator(mode="after")
    def _names_once(self) -> NotifySpec:
        names = [channel.name for channel in self.channels]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Mistake(text("two channels have the name '{name}'", name=twice))
        return self
