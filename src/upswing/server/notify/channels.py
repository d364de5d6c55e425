"""How one message goes out on each kind of channel. A channel that fails raises `NotDeliveredError`, in words without
secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final

import httpx

from upswing.core.errors import EngineError, UpswingError, UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.facts.alerts import Severity
from upswing.facts.secrets import Secret
from upswing.server.outgoing import Outgoing
from upswing.spec.operations import AppriseChannel, Channel, MailChannel, WebhookChannel

Reveal = Callable[[str], Secret]
"""Gives what a value of ``upswing.yml`` stands for: ``${ENV}`` and ``secret:NAME`` replaced."""

SERVICES: Final = ("feishu", "lark", "dingtalk", "wecombot", "slack", "discord", "tgram")
"""Apprise services that are let through: each sends to its own vendor's address only."""
_TIMEOUT: Final = 15.0


@dataclass(frozen=True, slots=True)
class Message:
    """What is told.

    Args:
        title: one line.
        body: the rest, plain text.
        severity: how bad.
        key: what it is about.
        period: the time that it is about.
        workspace: shown name.
    """

    title: str
    body: str
    severity: Severity
    key: str
    period: str
    workspace: str


class NotDeliveredError(UpswingError):
    """A channel did not take a message."""

    exit_code = 4
    default_code = "UP844"


def send(channel: Channel, message: Message, *, reveal: Reveal, outgoing: Outgoing) -> None:
    """Send a message on a channel.

    Args:
        channel: as in ``upswing.yml``.
        message: what.
        reveal: finds secrets.
        outgoing: sends to addresses that people wrote.

    Raises:
        NotDeliveredError: UP844 it was not taken.
        UpswingError: a secret that is not there, an address that leads inward.
    """
    try:
        if isinstance(channel, WebhookChannel):
            _send_webhook(channel, message, reveal, outgoing)
        elif isinstance(channel, MailChannel):
            _send_mail(channel, message, reveal)
        else:
            _send_by_apprise(channel, message, reveal)
    except (OSError, httpx.HTTPError, smtplib.SMTPException, ssl.SSLError) as error:
        raise _refused(type(error).__name__) from None  # its words may hold an address with a token


def _send_webhook(channel: WebhookChannel, message: Message, reveal: Reveal, outgoing: Outgoing) -> None:
    moment = int(time.time())
    body = json.dumps(
        {
            "title": message.title, "body": message.body, "severity": message.severity, "key": message.key,
            "period": message.period, "workspace": message.workspace, "sent_at": moment,
        },
        ensure_ascii=False,
    ).encode()  # fmt: skip
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Upswing"}
    if channel.secret is not None:
        headers["X-Upswing-Signature"] = signature(reveal(channel.secret).reveal(), body)
    reply = outgoing.send("POST", reveal(channel.url).reveal(), headers=headers, body=body)
    if not 200 <= reply.status < 300:
        raise _refused(f"HTTP {reply.status}")


def signature(secret: str, body: bytes) -> str:
    """What ``X-Upswing-Signature`` holds, for receivers to compare; the body has the time of sending in it.

    Examples:
        >>> signature("key", b"The quick brown fox jumps over the lazy dog")[:15]
        'sha256=f7bc83f4'
    """
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _send_mail(channel: MailChannel, message: Message, reveal: Reveal) -> None:
    mail = EmailMessage()
    mail["Subject"] = " ".join(f"[{message.workspace}] {message.title}".split())  # no line breaks in headers
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.to)
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="upswing.invalid")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{message.title}\n\n{message.body}\n")
    context = ssl.create_default_context()
    if channel.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(channel.host, channel.port, timeout=_TIMEOUT, context=context)
    else:
        connection = smtplib.SMTP(channel.host, channel.port, timeout=_TIMEOUT)
    with connection:
        if channel.security == "starttls":
            connection.starttls(context=context)
        if channel.user is not None and channel.password is not None:
            connection.login(channel.user, reveal(channel.password).reveal())
        connection.send_message(mail)


def _send_by_apprise(channel: AppriseChannel, message: Message, reveal: Reveal) -> None:
    url = reveal(channel.url).reveal()
    service = url.partition("://")[0].lower()
    if service not in SERVICES:
        raise UsageError(
            text("'{service}' is not among the services that messages go to", service=service), code="UP845",
            hint=did_you_mean(service, SERVICES),
        )  # fmt: skip
    try:
        import apprise
    except ImportError:
        raise EngineError(
            text("this channel needs apprise"), code="UP706", hint=text("pip install 'upswing[notify]'")
        ) from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its warnings hold addresses with tokens
    kinds = {
        "info": apprise.NotifyType.INFO,
        "warning": apprise.NotifyType.WARNING,
        "critical": apprise.NotifyType.FAILURE,
    }
    sender = apprise.Apprise()
    if not sender.add(url):
        raise UsageError(text("the address of channel '{name}' cannot be read", name=channel.name), code="UP846")
    title = f"[{message.workspace}] {message.title}"
    if not sender.notify(title=title, body=message.body or message.title, notify_type=kinds[message.severity]):
        raise _refused(service)


def _refused(reason: Text | str) -> NotDeliveredError:
    return NotDeliveredError(text("the message was not taken: {reason}", reason=reason))
