"""Commands that administer a workspace: people, keys, secrets, audit, jobs, alerts, backup, restore, erase."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upswing.cli.main import language_option, say, workspace_option
from upswing.core.errors import EngineError, UpswingError, UsageError
from upswing.core.i18n import Text, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upswing.facts.database import Facts
    from upswing.spec.project import WorkspaceSpec

_ROLES = click.Choice(["viewer", "editor", "admin"])
_KINDS = click.Choice(["intake", "flag"])


def register(group: click.Group) -> None:
    """Add the commands to the command line, under a heading of their own."""
    for command in (people, keys, secrets, audit, jobs, notify, backup, restore, erase):
        command.section = text("Operate")  # type: ignore[attr-defined]
        group.add_command(command)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--workspace``, ``--json`` and ``--lang``."""
    as_json = click.option("--json", "as_json", is_flag=True, help=str(text("One JSON object on stdout")))
    return workspace_option(language_option(as_json(command)))


# -- people -----------------------------------------------------------------------------------------------------------


@click.group(help=str(text("People who may sign in, and what they may do.")))
def people() -> None:
    """People."""


@people.command("add", help=str(text("Let somebody in; the password is asked for, or read from UPSWING_PASSWORD.")))
@click.argument("email")
@click.option("--role", type=_ROLES, default="viewer", show_default=True, help=str(text("What they may do")))
@click.option("--name", default=None, help=str(text("Shown name")))
@click.option("--no-password", is_flag=True, help=str(text("They use personal tokens only")))
@common
def people_add(
    workspace_dir: Path | None, email: str, role: Any, name: str | None, no_password: bool, as_json: bool
) -> None:
    """Add somebody."""
    from upswing.server.people import person_as_dict

    with _facts(workspace_dir) as (facts, _):
        password = None if no_password else _asked_password()
        person = facts.people.add(email, role=role, name=name, password=password)
        facts.audit.record("local", "people.add", person.email, after=person_as_dict(person))
    _answer(person_as_dict(person), as_json, text("{email} is {role} now", email=person.email, role=person.role))


@people.command("list", help=str(text("Who may sign in.")))
@common
def people_list(workspace_dir: Path | None, as_json: bool) -> None:
    """List people."""
    from upswing.server.people import person_as_dict

    with _facts(workspace_dir) as (facts, _):
        rows = [person_as_dict(person) for person in facts.people]
    _table({"people": rows}, rows, ("email", "name", "role", "disabled", "created_at"), as_json)


@people.command("role", help=str(text("Change what somebody may do.")))
@click.argument("email")
@click.argument("role", type=_ROLES)
@common
def people_role(workspace_dir: Path | None, email: str, role: Any, as_json: bool) -> None:
    """Change a role."""
    from upswing.server.people import person_as_dict

    with _facts(workspace_dir) as (facts, _):
        before = person_as_dict(facts.people.get(email))
        person = facts.people.change(email, role=role)
        facts.audit.record("local", "people.change", person.email, before=before, after=person_as_dict(person))
    _answer(person_as_dict(person), as_json, text("{email} is {role} now", email=person.email, role=person.role))


@people.command("password", help=str(text("Give somebody a new password; their sessions end.")))
@click.argument("email")
@common
def people_password(workspace_dir: Path | None, email: str, as_json: bool) -> None:
    """Change a password."""
    from upswing.server.people import person_as_dict

    with _facts(workspace_dir) as (facts, _):
        facts.people.get(email)
        person = facts.people.change(email, password=_asked_password())
        facts.audit.record("local", "people.password", person.email)
    _answer(person_as_dict(person), as_json, text("{email} has a new password", email=person.email))


@people.command("remove", help=str(text("Remove somebody, with their sessions and tokens.")))
@click.argument("email")
@common
def people_remove(workspace_dir: Path | None, email: str, as_json: bool) -> None:
    """Remove somebody."""
    from upswing.server.people import person_as_dict

    with _facts(workspace_dir) as (facts, _):
        person = facts.people.remove(email)
        facts.audit.record("local", "people.remove", person.email, before=person_as_dict(person))
    _answer(person_as_dict(person), as_json, text("{email} is removed", email=person.email))


@people.command("token", help=str(text("Make a personal token for programs; it is shown once.")))
@click.argument("email")
@click.option("--label", required=True, help=str(text("What it is for")))
@click.option("--role", type=_ROLES, default=None, help=str(text("What it may do; the person's own role if absent")))
@click.option("--lifetime", default=None, help=str(text("How long it holds, e.g. 90d; for ever if absent")))
@common
def people_token(
    workspace_dir: Path | None, email: str, label: str, role: Any, lifetime: str | None, as_json: bool
) -> None:
    """Make a token."""
    from upswing.core.units import Duration
    from upswing.server.people import token_as_dict

    with _facts(workspace_dir) as (facts, _):
        held = None if lifetime is None else Duration.parse(lifetime, what="lifetime")
        secret, token = facts.tokens.new(facts.people.get(email), label=label, role=role, lifetime=held)
        facts.audit.record("local", "tokens.new", token.prefix, after=token_as_dict(token))
    _shown_once({**token_as_dict(token), "token": secret}, secret, as_json)


# -- keys and secrets -------------------------------------------------------------------------------------------------


@click.group(help=str(text("Keys that apps carry: intake keys send events, flag keys read flags.")))
def keys() -> None:
    """Keys."""


@keys.command("new", help=str(text("Make a key; it is shown once.")))
@click.argument("kind", type=_KINDS)
@click.option("--label", required=True, help=str(text("Which app carries it")))
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help=str(text("A page that may use it, e.g. https://app.example.com; any if absent")),
)
@click.option("--per-second", type=int, default=None, help=str(text("Events (intake) or requests (flag) per second")))
@common
def keys_new(
    workspace_dir: Path | None, kind: Any, label: str, origins: tuple[str, ...], per_second: int | None, as_json: bool
) -> None:
    """Make a key."""
    from upswing.server.keys import key_as_dict

    with _facts(workspace_dir) as (facts, _):
        secret, key = facts.keys.new(kind, label=label, origins=origins, per_second=per_second)
        facts.audit.record("local", "keys.new", f"{key.kind} {key.prefix}", after=key_as_dict(key))
    _shown_once({**key_as_dict(key), "key": secret}, secret, as_json)


@keys.command("list", help=str(text("Keys, without their secrets.")))
@common
def keys_list(workspace_dir: Path | None, as_json: bool) -> None:
    """List keys."""
    from upswing.server.keys import key_as_dict

    with _facts(workspace_dir) as (facts, _):
        rows = [key_as_dict(key) for key in facts.keys]
    shown = ("id", "kind", "prefix", "label", "origins", "per_second", "holds", "ends_at")
    _table({"keys": rows}, rows, shown, as_json)


@keys.command("rotate", help=str(text("Make a key that takes over from another, which holds a while yet.")))
@click.argument("number", type=int)
@click.option("--overlap", default="7d", show_default=True, help=str(text("How long the old key holds yet")))
@common
def keys_rotate(workspace_dir: Path | None, number: int, overlap: str, as_json: bool) -> None:
    """Rotate a key."""
    from upswing.core.units import Duration
    from upswing.server.keys import key_as_dict

    with _facts(workspace_dir) as (facts, _):
        secret, key = facts.keys.rotate(number, overlap=Duration.parse(overlap, what="overlap", zero=True))
        facts.audit.record("local", "keys.rotate", f"{key.kind} {key.prefix}", after=key_as_dict(key))
    _shown_once({**key_as_dict(key), "key": secret}, secret, as_json)


@keys.command("revoke", help=str(text("End a key now.")))
@click.argument("number", type=int)
@common
def keys_revoke(workspace_dir: Path | None, number: int, as_json: bool) -> None:
    """Revoke a key."""
    from upswing.server.keys import key_as_dict

    with _facts(workspace_dir) as (facts, _):
        key = facts.keys.revoke(number)
        facts.audit.record("local", "keys.revoke", f"{key.kind} {key.prefix}", after=key_as_dict(key))
    _answer(key_as_dict(key), as_json, text("key {prefix}… does not hold any more", prefix=key.prefix))


@click.group(help=str(text("Secrets of connectors and channels, encrypted: upswing.yml names them as secret:NAME.")))
def secrets() -> None:
    """Secrets."""


@secrets.command("put", help=str(text("Keep a secret; it is asked for, or read from UPSWING_SECRET.")))
@click.argument("name")
@common
def secrets_put(workspace_dir: Path | None, name: str, as_json: bool) -> None:
    """Keep a secret."""
    with _facts(workspace_dir) as (facts, _):
        value = os.environ.get("UPSWING_SECRET") or click.prompt(str(text("Secret")), hide_input=True, err=True)
        facts.secrets.put(name, value)
        facts.audit.record("local", "secrets.put", name)
    _answer({"name": name}, as_json, text("kept: secret:{name}", name=name))


@secrets.command("list", help=str(text("Names of the secrets that are kept.")))
@common
def secrets_list(workspace_dir: Path | None, as_json: bool) -> None:
    """List secrets."""
    with _facts(workspace_dir) as (facts, _):
        rows: list[Mapping[str, object]] = [{"name": name} for name in facts.secrets.names()]
    _table({"secrets": rows}, rows, ("name",), as_json)


@secrets.command("remove", help=str(text("Forget a secret.")))
@click.argument("name")
@common
def secrets_remove(workspace_dir: Path | None, name: str, as_json: bool) -> None:
    """Forget a secret."""
    with _facts(workspace_dir) as (facts, _):
        facts.secrets.get(name)
        facts.secrets.remove(name)
        facts.audit.record("local", "secrets.remove", name)
    _answer({"name": name}, as_json, text("forgotten: {name}", name=name))


# -- audit, jobs, alerts ----------------------------------------------------------------------------------------------


@click.command(help=str(text("Who changed what, the newest first; ends with 1 if an entry was tampered with.")))
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help=str(text("At most so many"))
)
@common
def audit(workspace_dir: Path | None, limit: int, as_json: bool) -> None:
    """Show the audit log."""
    from upswing.server.audit import as_dict

    with _facts(workspace_dir) as (facts, _):
        rows = [as_dict(entry) for entry in facts.audit.entries(limit=limit)]
        broken = facts.audit.broken_at()
    _table({"entries": rows, "broken_at": broken}, rows, ("id", "at", "who", "action", "target", "address"), as_json)
    if broken is not None:
        say(text("entry {n} is not what was written, or is missing", n=broken))
        raise click.exceptions.Exit(1)


@click.command(help=str(text("Jobs that come round: when each is due, how the last run ended.")))
@click.option("--run", "to_run", default=None, help=str(text("Have this job run as soon as the server can")))
@common
def jobs(workspace_dir: Path | None, to_run: str | None, as_json: bool) -> None:
    """Show the schedule."""
    from upswing.server.schedule import job_as_dict

    with _facts(workspace_dir) as (facts, _):
        if to_run is not None:
            facts.jobs.run_soon(to_run)
            facts.audit.record("local", "jobs.run", to_run)
        rows = [job_as_dict(job) for job in facts.jobs]
    shown = ("name", "enabled", "next_at", "running_since", "last_at", "last_seconds", "failures", "last_error")
    _table({"jobs": rows}, rows, shown, as_json)


@click.group(help=str(text("Channels that alerts go to.")))
def notify() -> None:
    """Channels."""


@notify.command("test", help=str(text("Send a trial message; ends with 1 if a channel does not take it.")))
@click.argument("channel", required=False)
@common
def notify_test(workspace_dir: Path | None, channel: str | None, as_json: bool) -> None:
    """Try the channels."""
    from upswing.server.notify.outbox import Notifier

    with _facts(workspace_dir) as (facts, project):
        found = Notifier(facts, project).test(channel)
    if as_json:
        body = {name: None if error is None else error.to_dict() for name, error in found.items()}
        click.echo(json.dumps({"channels": body}, ensure_ascii=False, indent=2))
    for name, error in found.items():
        if not as_json:
            told = text("sent") if error is None else error
            click.echo(f"{name}: {told}")
    if any(error is not None for error in found.values()):
        raise click.exceptions.Exit(1)


# -- backup, restore, erase -------------------------------------------------------------------------------------------


@click.command(help=str(text("Write the whole workspace to one file, also while a server holds it.")))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--secret-key", is_flag=True, help=str(text("Also the key that opens the secrets of connectors")))
@common
def backup(workspace_dir: Path | None, file: Path, secret_key: bool, as_json: bool) -> None:
    """Back up."""
    from upswing.server.backup import back_up, checked

    root = workspace_dir or Path()
    if _holder(root):
        _ask_server(root, "/api/v1/backup", {"secret_key": secret_key}, into=file)
    else:
        with _facts(root) as (facts, project):
            writing = _own_log(root, project)
            back_up(root, file, reading=writing, facts=facts, secret_key=secret_key)
            facts.audit.record("local", "backup", project.project)
    manifest = checked(file)
    _answer(manifest.to_dict(), as_json, text("written and checked: {file}", file=file))


@click.command(help=str(text("Make a workspace from a backup; everything is checked before anything is touched.")))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--force", is_flag=True, help=str(text("Put it in the place of what is there")))
@common
def restore(workspace_dir: Path | None, file: Path, force: bool, as_json: bool) -> None:
    """Restore."""
    from upswing.server.backup import restore as bring_back

    root = workspace_dir or Path()
    manifest = bring_back(file, root, force=force, say=None if as_json else say)
    with _facts(root) as (facts, _):
        facts.audit.record("local", "restore", manifest.project)
    _answer(manifest.to_dict(), as_json, text("restored: {folder}", folder=root))


@click.command(
    help=str(text("Erase a user for good: events, aliases, quarantine, clicks; no old file brings them back."))
)
@click.argument("user")
@click.option("--for-good", is_flag=True, help=str(text("Refuse later events of the user too")))
@click.option("--yes", is_flag=True, help=str(text("Do not ask")))
@common
def erase(workspace_dir: Path | None, user: str, for_good: bool, yes: bool, as_json: bool) -> None:
    """Erase a user."""
    root = workspace_dir or Path()
    if not yes:
        click.confirm(str(text("Erase {user}? This cannot be undone.", user=user)), abort=True, err=True)
    report = _erased(root, user, for_good)
    counts = {key: value for key, value in report.items() if isinstance(value, int)}
    _answer(report, as_json, text("erased: {events} events, {aliases} aliases, {quarantined} rows set aside, {clicks} clicks",
                                  **{k: counts[k] for k in ("events", "aliases", "quarantined", "clicks")}))  # fmt: skip
    if counts.get("leftovers") and not as_json:
        say(text("{n} leftovers of interrupted backups were deleted", n=counts["leftovers"]))
    unsearched = report.get("unsearched")
    if isinstance(unsearched, list | tuple) and unsearched and not as_json:
        say(text("these files were not looked into and may hold the user: {files}", files=", ".join(unsearched)))
    mentioned = report.get("mentioned")
    if isinstance(mentioned, dict) and mentioned and not as_json:
        say(text("the user still stands in properties of others' events: {names}", names=", ".join(mentioned)))


def _erased(root: Path, user: str, for_good: bool) -> dict[str, object]:
    if _holder(root):
        return _ask_server(root, "/api/v1/erasure", {"user": user, "for_good": for_good})
    from dataclasses import asdict

    from upswing.server.erasure import erase_everywhere, note
    from upswing.server.intake.service import Intake

    with _facts(root) as (facts, project):
        writing = _own_log(root, project)
        if writing is None:
            raise EngineError(text("the events of this workspace are kept elsewhere and only read"), code="UP708")
        log = root / project.engine.path
        spool = log.parent / "spool"
        intake = Intake.open(spool, writing, calendar=project.calendar) if spool.is_dir() else None
        try:
            if intake is not None:
                intake.start()
            report = erase_everywhere(root, writing, intake, user, for_good=for_good)
        finally:
            if intake is not None:
                intake.close()
        note(facts, report, lambda target: facts.audit.record("local", "users.erase", target))
    return asdict(report)


# -- helpers ----------------------------------------------------------------------------------------------------------


@contextmanager
def _facts(folder: Path | None) -> Iterator[tuple[Facts, WorkspaceSpec]]:
    from upswing.spec.definitions import load_project

    root = folder or Path()
    project = load_project(root)
    try:
        from upswing.facts.database import Facts
    except ImportError as error:
        raise UsageError(
            text("the server needs packages that are not installed: {name}", name=error.name),
            code="UP652",
            hint=text("pip install 'upswing[web]'"),
        ) from None
    with Facts.open(root, project.facts) as facts:
        yield facts, project


def _own_log(root: Path, project: WorkspaceSpec) -> Callable[[], Any] | None:
    """The embedded log, opened for each use; None where the events are kept elsewhere."""
    from upswing.events.store import EventStore

    if project.engine.type != "duckdb" or project.engine.url is not None or project.source is not None:
        return None
    return lambda: EventStore.open(root / project.engine.path)


def _holder(root: Path) -> bool:
    from upswing.workspace.holder import holder_of

    return holder_of(root) is not None


def _ask_server(root: Path, path: str, body: Mapping[str, object], *, into: Path | None = None) -> dict[str, object]:
    """Ask the server that holds the workspace, in the name of this account."""
    import httpx

    from upswing.workspace.holder import holder_of

    holder = holder_of(root)
    assert holder is not None
    headers = {"X-Upswing-Local": holder.token}
    try:
        with (
            httpx.Client(timeout=httpx.Timeout(None, connect=10), trust_env=False) as client,  # a backup takes its time
            client.stream("POST", holder.address + path, json=body, headers=headers) as answer,
        ):
            if answer.status_code >= 400:
                raise _told(json.loads(answer.read()))
            if into is None:
                found: dict[str, object] = json.loads(answer.read())
                return found
            partial = into.with_name(into.name + ".partial")
            with os.fdopen(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
                for piece in answer.iter_bytes():
                    out.write(piece)
            partial.replace(into)
            return {}
    except httpx.HTTPError as error:
        raise EngineError(
            text("the server at {address} holds the workspace and does not answer: {reason}",
                 address=holder.address, reason=type(error).__name__),
            code="UP711",
            hint=text("see the server's log, or stop process {pid}", pid=holder.pid),
        ) from None  # fmt: skip


def _told(body: Mapping[str, Any]) -> UpswingError:
    first = body["errors"][0]
    return EngineError(str(first["message"]), code=str(first["code"]), hint=first["hint"])


def _asked_password() -> str:
    given = os.environ.get("UPSWING_PASSWORD")
    if given is not None:
        return given
    asked: str = click.prompt(str(text("Password")), hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _answer(body: Mapping[str, object], as_json: bool, sentence: Text) -> None:
    click.echo(json.dumps(body, ensure_ascii=False, indent=2, default=str) if as_json else str(sentence))


def _shown_once(body: Mapping[str, object], secret: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    click.echo(secret)
    say(text("keep it now: it is not shown again"))


def _table(
    body: Mapping[str, object], rows: Iterable[Mapping[str, object]], columns: Sequence[str], as_json: bool
) -> None:
    if as_json:
        click.echo(json.dumps(body, ensure_ascii=False, indent=2, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # a narrow terminal breaks a cell, and hides nothing
    for row in rows:
        table.add_row(*(_cell(column, row[column]) for column in columns))
    Console(soft_wrap=True).print(table)


def _cell(column: str, value: object) -> str:
    if value is None:
        return "–"
    if column in ("at", "running_since") or column.endswith("_at"):
        return datetime.fromtimestamp(int(str(value)) / 1_000_000, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "*"
    return str(value)
