"""Alerts reach people: on every kind of channel, once, again after a failure, not in quiet hours."""

import hashlib
import hmac
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.serving import served
from upswing.core.calendar import Calendar
from upswing.core.errors import UsageError
from upswing.core.units import DAY, HOUR, MINUTE
from upswing.facts.clock import now
from upswing.facts.database import Facts
from upswing.server.notify.outbox import PAUSES, Delivered, Lines, Notifier, quiet_until
from upswing.server.outgoing import Outgoing, Reply
from upswing.server.schedule import Cancelled
from upswing.spec.operations import QuietHours
from upswing.spec.project import WorkspaceSpec
from upswing.workspace import Workspace


class Sink:
    """A receiver of webhooks on this machine."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.got.append((dict(self.headers), body))
                self.send_response(sink.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def sink() -> Iterator[Sink]:
    found = Sink()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[Facts]:
    with Facts.open(tmp_path) as opened:
        yield opened


def notifier(facts: Facts, *channels: dict[str, object], quiet: dict[str, str] | None = None) -> Notifier:
    notify = {"channels": list(channels), **({"quiet": quiet} if quiet else {})}
    project = WorkspaceSpec.model_validate({"project": "acme", "timezone": "Asia/Shanghai", "notify": notify})
    return Notifier(facts, project, Outgoing(allowed=["127.0.0.1"]))


def test_webhook_is_signed_and_carries_the_alert(facts: Facts, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", sink.url)
    facts.secrets.put("hook", "密钥")
    told = notifier(facts, {"type": "webhook", "name": "ops", "url": "${HOOK_URL}", "secret": "secret:hook"})
    told.tell("guardrail:refunds", period="2026-11-23", title="退款率超标", body="3 %", severity="critical")
    assert told.deliver() == Delivered(sent=1)
    headers, body = sink.got[0]
    assert headers["X-Upswing-Signature"] == "sha256=" + hmac.new("密钥".encode(), body, hashlib.sha256).hexdigest()
    found = json.loads(body)
    assert (found["title"], found["key"], found["workspace"]) == ("退款率超标", "guardrail:refunds", "acme")


def test_told_once_per_period(facts: Facts, sink: Sink) -> None:
    told = notifier(facts, {"type": "webhook", "name": "ops", "url": sink.url})
    for _ in range(3):
        told.tell("watch:douyin", period="2026-11-23", title="x")
        told.deliver()
    assert len(sink.got) == 1
    told.tell("watch:douyin", period="2026-11-24", title="x")
    assert told.deliver() == Delivered(sent=1)


def test_a_failing_channel_is_tried_again_and_at_last_given_up(facts: Facts, sink: Sink) -> None:
    told = notifier(facts, {"type": "webhook", "name": "ops", "url": sink.url})
    told.tell("a", period="p", title="x")
    sink.status = 503
    moment = now()
    assert told.deliver(at=moment) == Delivered(failed=1)
    assert told.deliver(at=moment + PAUSES[0] - 1) == Delivered()
    for pause in PAUSES[:-1]:
        moment += pause
        assert told.deliver(at=moment) == Delivered(failed=1)
    assert told.deliver(at=moment + PAUSES[-1]) == Delivered(given_up=1)
    assert told.deliver(at=moment + 30 * DAY) == Delivered()
    assert len(sink.got) == len(PAUSES) + 1
    assert facts.alerts.recent()[0].last_error == "the message was not taken: HTTP 503"


def test_it_comes_through_after_a_failure_and_a_restart(facts: Facts, sink: Sink) -> None:
    channel: dict[str, object] = {"type": "webhook", "name": "ops", "url": sink.url}
    sink.status = 500
    told = notifier(facts, channel)
    told.tell("a", period="p", title="x")
    told.deliver()
    sink.status = 200
    assert notifier(facts, channel).deliver(at=now() + HOUR) == Delivered(sent=1)


def test_one_dead_channel_does_not_hold_up_another(facts: Facts, sink: Sink) -> None:
    told = notifier(
        facts,
        {"type": "webhook", "name": "dead", "url": "http://127.0.0.1:1/"},
        {"type": "webhook", "name": "ops", "url": sink.url},
    )
    assert told.tell("a", period="p", title="x") == 2
    assert told.deliver() == Delivered(sent=1, failed=1)


def test_quiet_hours_hold_back_all_but_the_critical(facts: Facts, sink: Sink) -> None:
    calendar = Calendar("Asia/Shanghai")
    channel: dict[str, object] = {"type": "webhook", "name": "ops", "url": sink.url}
    told = notifier(facts, channel, quiet={"from": "22:00", "to": "08:00"})
    told.tell("a", period="p", title="calm")
    told.tell("b", period="p", title="fire", severity="critical")
    night = calendar.instant("2100-01-01T23:00")
    assert told.deliver(at=night) == Delivered(sent=1, waiting=1)
    assert told.deliver(at=night + 8 * HOUR) == Delivered()
    assert told.deliver(at=night + 9 * HOUR) == Delivered(sent=1)
    assert [json.loads(body)["title"] for _, body in sink.got] == ["fire", "calm"]


@given(
    st.integers(0, 24 * 60 - 1), st.integers(0, 24 * 60 - 1), st.integers(0, 400 * 24 * 60),
    st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"]),
)  # fmt: skip
def test_quiet_hours_against_the_clock_on_the_wall(begin: int, end: int, minutes: int, zone: str) -> None:
    calendar = Calendar(zone)
    moment = calendar.instant("2026-01-01") + minutes * MINUTE
    quiet = QuietHours(begin=f"{begin // 60:02d}:{begin % 60:02d}", end=f"{end // 60:02d}:{end % 60:02d}")
    local = calendar.local(moment)
    shown = local.hour * 60 + local.minute
    inside = begin <= shown < end if begin <= end else shown >= begin or shown < end
    until = quiet_until(quiet, calendar, moment)
    changes = {calendar.local(moment + h * HOUR).utcoffset() for h in range(-25, 26)}
    if len(changes) == 1:  # around a change of the clocks an hour is there twice or not at all
        assert (until is not None) == inside
    if until is not None:
        assert moment < until <= moment + 25 * HOUR


def test_addresses_of_this_machine_are_refused_unless_allowed(facts: Facts, sink: Sink) -> None:
    project = WorkspaceSpec.model_validate(
        {"notify": {"channels": [{"type": "webhook", "name": "ops", "url": sink.url}]}}
    )
    errors = Notifier(facts, project).test()
    error = errors["ops"]
    assert error is not None
    assert error.code == "UP843"
    assert sink.got == []


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a sender needs."""

    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                self.wfile.write(b"250-sink\r\n250 AUTH PLAIN LOGIN\r\n")
            elif verb == b"AUTH":
                self.server.auth.append(line)  # type: ignore[attr-defined]
                self.wfile.write(b"235 ok\r\n")
            elif verb == b"DATA":
                self.wfile.write(b"354 go\r\n")
                taken = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    taken += part
                self.server.mails.append(taken)  # type: ignore[attr-defined]
                self.wfile.write(b"250 ok\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


def test_mail(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    import email
    import email.policy

    monkeypatch.setenv("MAIL_PASSWORD", "hunter2")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as server:
        server.mails, server.auth = [], []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = notifier(
            facts,
            {"type": "smtp", "name": "mail", "host": "127.0.0.1", "port": server.server_address[1], "security": "none",
             "user": "lin", "password": "${MAIL_PASSWORD}", "from": "up@example.com", "to": ["a@example.com"]},
        )  # fmt: skip
        told.tell("a", period="p", title="退款率\r\nBcc: evil@example.com", body="第 1 行\n.\n第 3 行")
        assert told.deliver() == Delivered(sent=1)
        server.shutdown()
        found = email.message_from_bytes(server.mails[0], policy=email.policy.default)  # type: ignore[attr-defined]
        assert found["Subject"] == "[acme] 退款率 Bcc: evil@example.com"
        assert found["Bcc"] is None
        assert "第 3 行" in found.get_content()
        assert server.auth  # type: ignore[attr-defined]


def test_mail_without_encryption_on_offer_is_not_sent(facts: Facts) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail) as server:
        server.mails, server.auth = [], []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = notifier(
            facts,
            {"type": "smtp", "name": "mail", "host": "127.0.0.1", "port": server.server_address[1],
             "from": "up@example.com", "to": ["a@example.com"]},
        )  # fmt: skip
        told.tell("a", period="p", title="x")
        assert told.deliver() == Delivered(failed=1)
        server.shutdown()
        assert server.mails == []  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("service", ["feishu", "dingtalk", "wecombot", "slack"])
def test_chat_tools_through_apprise(facts: Facts, monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    """What would go over the line, caught where apprise hands it to its HTTP library."""
    requests = pytest.importorskip("requests")
    pytest.importorskip("apprise")
    urls = {
        "feishu": "feishu://abcdef0123456789", "dingtalk": "dingtalk://abcdef0123456789", "slack":
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#growth", "wecombot": "wecombot://abcdef01-2345-6789-abcd-ef0123456789",
    }  # fmt: skip
    sent = []

    def take(_: object, request: Any, **how: object) -> Any:
        sent.append((request.url, request.body))
        answer = requests.Response()
        answer.status_code, answer.url = 200, request.url
        answer._content = b"ok" if service == "slack" else b'{"errcode": 0, "code": 0}'
        return answer

    monkeypatch.setattr(requests.Session, "send", take)
    told = notifier(facts, {"type": "apprise", "name": "chat", "url": urls[service]})
    told.tell("a", period="p", title="渠道异动", body="抖音 CPA 上升")
    delivered = told.deliver()
    assert delivered == Delivered(sent=1), facts.alerts.recent()
    hosts = {
        "feishu": "open.feishu.cn",
        "dingtalk": "oapi.dingtalk.com",
        "wecombot": "qyapi.weixin.qq.com",
        "slack": "hooks.slack.com",
    }
    assert all(url.startswith(f"https://{hosts[service]}/") for url, _ in sent)
    assert any("渠道异动" in json.dumps(json.loads(data), ensure_ascii=False) for _, data in sent)


@pytest.mark.parametrize("url", ["json://127.0.0.1/", "syslog://", "dbus://", "mailto://x:y@example.com", "nonsense"])
def test_services_that_reach_elsewhere_are_refused(facts: Facts, url: str) -> None:
    pytest.importorskip("apprise")
    error = notifier(facts, {"type": "apprise", "name": "chat", "url": url}).test()["chat"]
    assert error is not None
    assert error.code == "UP845"


def test_errors_hold_no_secrets(facts: Facts, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "hunter2")
    told = notifier(facts, {"type": "webhook", "name": "ops", "url": "http://127.0.0.1:1/${HOOK_TOKEN}"})
    told.tell("a", period="p", title="x")
    assert told.deliver() == Delivered(failed=1)
    assert "hunter2" not in repr(facts.alerts.recent())


def test_channels_that_are_not_there(facts: Facts) -> None:
    with pytest.raises(UsageError) as raised:
        notifier(facts).test()
    assert raised.value.code == "UP847"
    with pytest.raises(UsageError):
        notifier(facts, {"type": "webhook", "name": "ops", "url": "https://example.com"}).test("opps")


def test_a_channel_that_is_gone_is_given_up(facts: Facts, sink: Sink) -> None:
    notifier(facts, {"type": "webhook", "name": "old", "url": sink.url}).tell("a", period="p", title="x")
    assert notifier(facts, {"type": "webhook", "name": "new", "url": sink.url}).deliver() == Delivered(given_up=1)


def test_the_server_sends_what_is_in_the_outbox(tmp_path: Path, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSWING_ALLOW_OUTGOING", "127.0.0.1")
    root = tmp_path / "w"
    Workspace.create(root, notify={"channels": [{"type": "webhook", "name": "ops", "url": sink.url}]}).close()
    with served(root, people=False) as site:
        with Workspace.open(root) as workspace:
            Notifier(site.facts, workspace.project).tell("watch:douyin", period="2026-11-23", title="x")
        assert site.client().post("/api/v1/scheduled-jobs/alerts/run", json={}).status_code == 202
        end = time.monotonic() + 20
        while not sink.got:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert len(sink.got) == 1


def test_a_channel_that_does_not_end_holds_up_no_other(facts: Facts, sink: Sink) -> None:
    stuck, lines = threading.Event(), Lines()

    class Waiting(Outgoing):
        def send(self, method: str, url: str, **how: Any) -> Reply:
            if url.endswith("stuck"):
                stuck.wait(60)
            return super().send(method, url, **how)

    channels = [{"type": "webhook", "name": name, "url": f"{sink.url}/{name}"} for name in ("stuck", "good")]
    project = WorkspaceSpec.model_validate({"project": "acme", "notify": {"channels": channels}})

    def told() -> Notifier:
        return Notifier(facts, project, Waiting(allowed=["127.0.0.1"]), lines=lines)

    told().tell("a", period="1", title="x")
    assert told().deliver(seconds=1) == Delivered(sent=1)
    told().tell("a", period="2", title="x")
    assert told().deliver(seconds=1) == Delivered(sent=1)  # the other one is left to itself
    assert len(sink.got) == 2
    stuck.set()
    for _ in range(200):
        if told().deliver().sent:
            break
        time.sleep(0.05)
    assert len(sink.got) == 4
    assert all(alert.sent_at is not None for alert in facts.alerts.recent())


def test_delivering_stops_when_it_is_asked_to(facts: Facts, sink: Sink) -> None:
    told = notifier(facts, {"type": "webhook", "name": "ops", "url": sink.url})
    for i in range(3):
        told.tell("a", period=str(i), title="x")

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        told.deliver(check=check)
