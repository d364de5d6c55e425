"""Commands that prepare and look after a workspace: init, import, alias, compact, check, plan, apply, schema, report, demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from upswing.cli.main import (
    language_argument,
    language_option,
    note_change,
    open_workspace,
    say,
    workspace_option,
    write_page,
)
from upswing.core.errors import Problems
from upswing.core.i18n import text


def register(group: click.Group) -> None:
    """Add the commands to the command line, in the order in which a newcomer needs them."""
    for command in (init, import_, demo, report, alias, compact, check, plan, apply, schema):
        group.add_command(command)


@click.command(help=str(text("Make a workspace: a folder with upswing.yml and an empty event log.")))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--timezone", default=None, help=str(text("Zone in which days begin, e.g. Asia/Shanghai [UTC]")))
@click.option("--currency", default=None, help=str(text("Currency of amounts, e.g. CNY [CNY]")))
@click.option("--locale", type=click.Choice(["en", "zh-CN"]), default=None, help=str(text("Language of reports [en]")))
@language_option
def init(folder: Path, **settings: Any) -> None:
    """Make a workspace."""
    from upswing.workspace import Workspace

    Workspace.create(folder, **{key: value for key, value in settings.items() if value is not None}).close()
    say(text("made: {folder}", folder=folder))
    say(text("next: upswing import FILE --workspace {folder}", folder=folder))


@click.command("import", help=str(text("Import event files: CSV, JSON lines, Parquet, globs, or - for a pipe.")))
@click.argument("files", nargs=-1, required=True)
@click.option("--user", help=str(text("Column with the user's id (proposed from the file if absent)")))
@click.option("--time", help=str(text("Column with the time")))
@click.option("--event", help=str(text("Column with the event's name")))
@click.option("--channel", help=str(text("Column with the acquisition channel")))
@click.option("--event-id", help=str(text("Column that identifies the event, to recognise repeats")))
@click.option("--event-name", help=str(text("Name of the event, for files that hold one kind of event")))
@click.option("--time-format", help=str(text("Format of the time, e.g. %d/%m/%Y %H:%M")))
@click.option("--encoding", help=str(text("Encoding of the text, e.g. gb18030 (recognised if absent)")))
@click.option("--json", "as_json", is_flag=True, help=str(text("One JSON object on stdout")))
@workspace_option
@language_option
def import_(workspace_dir: Path | None, files: tuple[str, ...], as_json: bool, **columns: Any) -> None:
    """Import event files."""
    from upswing.cli.progress import ImportProgress

    with open_workspace(workspace_dir) as workspace, ImportProgress() as progress:
        summary = workspace.import_events(files, progress=progress, on_proposal=progress.proposal, **columns)
        note_change(workspace, "workspace.import_events", ", ".join(files))
    if as_json:
        click.echo(json.dumps(summary.to_dict(), ensure_ascii=False, indent=2))
        return
    click.echo(str(summary.sentence()))
    for line in summary.details():
        click.echo(f"  {line}")
    if summary.rows_quarantined:
        say(text("see the rows set aside: upswing quarantine"))


@click.command(
    help=str(text("Say that two ids are one user: ALIAS is CANONICAL, from a moment on; or from a CSV file."))
)
@click.argument("ids", nargs=-1)
@click.option("--from", "valid_from", help=str(text("From this moment on (always, if absent)")))
@click.option(
    "--file", type=click.Path(path_type=Path), help=str(text("CSV with columns alias, canonical, valid_from"))
)
@click.option("--remove", is_flag=True, help=str(text("Take it back")))
@workspace_option
@language_option
def alias(workspace_dir: Path | None, ids: tuple[str, ...], **how: Any) -> None:
    """Add or remove dated aliases."""
    with open_workspace(workspace_dir) as workspace:
        changed = workspace.alias(*ids, **how)
        note_change(workspace, "workspace.alias", f"{changed} ids")  # whose they are is nobody else's business
    say(text("{n} aliases changed", n=changed))


@click.command(help=str(text("Rewrite the log in one run, ordered by user and time, so that questions are fastest.")))
@workspace_option
@language_option
def compact(workspace_dir: Path | None) -> None:
    """Rewrite the log."""
    with open_workspace(workspace_dir) as workspace:
        workspace.compact()
        note_change(workspace, "workspace.compact")
    say(text("compacted"))


@click.command(help=str(text("Report every problem in the definitions: file, line, column, code, nearest choice.")))
@click.option(
    "--data", is_flag=True, help=str(text("Also compare with the log: events and properties that are not there"))
)
@click.option("--json", "as_json", is_flag=True, help=str(text("One JSON object on stdout")))
@click.option("--strict", is_flag=True, help=str(text("Warnings count as failure too")))
@workspace_option
@language_option
def check(workspace_dir: Path | None, data: bool, as_json: bool, strict: bool) -> None:
    """Check the definitions."""
    with open_workspace(workspace_dir) as workspace:
        problems: Problems = workspace.check(data=data)
        count = sum(1 for _ in workspace.definitions)
    failed = bool(problems.errors) or (strict and len(problems) > 0)
    if as_json:
        body = {"ok": not failed, "definitions": count, "problems": [p.to_dict() for p in problems]}
        click.echo(json.dumps(body, ensure_ascii=False, indent=2))
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(str(text("{n} definitions, {p} problems", n=count, p=len(problems))))
    if problems.errors:
        raise click.exceptions.Exit(2)
    if failed:
        raise click.exceptions.Exit(1)


@click.command(help=str(text("What changed in the definitions since the last apply, and what it touches.")))
@click.option("--json", "as_json", is_flag=True, help=str(text("One JSON object on stdout")))
@workspace_option
@language_option
def plan(workspace_dir: Path | None, as_json: bool) -> None:
    """Show what a change of definitions touches."""
    from dataclasses import asdict

    from upswing.spec.plan import plan as planned

    with open_workspace(workspace_dir) as workspace:
        workspace.check().raise_if_any()
        changes = planned(workspace.definitions)
    if as_json:
        click.echo(json.dumps({"changes": [asdict(c) for c in changes]}, ensure_ascii=False, indent=2))
        return
    signs = {"added": "+", "removed": "-", "breaking": "~", "cosmetic": "~"}
    for change in changes:
        keys = ", ".join(change.keys)
        click.echo(f"  {signs[change.effect]} {change.kind:<10} {change.name:<24} {keys:<20} {change.sentence}")
        if change.used_by:
            click.echo("      " + str(text("used by: {names}", names=", ".join(change.used_by))))
    click.echo(str(text("{n} changes", n=len(changes))))


@click.command(help=str(text("Accept the definitions as they are: write .upswing/lock.json.")))
@workspace_option
@language_option
def apply(workspace_dir: Path | None) -> None:
    """Accept the definitions."""
    from upswing.spec.plan import apply as accept

    with open_workspace(workspace_dir) as workspace:
        workspace.check().raise_if_any()
        say(text("written: {file}", file=accept(workspace.definitions)))


@click.command(help=str(text("JSON Schema of the definitions, with this workspace's events, for editors.")))
@workspace_option
@language_option
def schema(workspace_dir: Path | None) -> None:
    """Print the JSON Schema."""
    with open_workspace(workspace_dir) as workspace:
        body = workspace.schema()
    click.echo(json.dumps(body, ensure_ascii=False, indent=1))


@click.command(help=str(text("Where is growth lost? One self-contained page from the whole log.")))
@click.option("--out", type=click.Path(path_type=Path), default=Path("report.html"), help=str(text("File to write")))
@click.option(
    "--milestone", "milestones", multiple=True, help=str(text("Event of the main path, in order (proposed if absent)"))
)
@click.option(
    "--segment-by", "dimensions", multiple=True, help=str(text("Property to compare groups by (chosen if absent)"))
)
@click.option("--from", "start", help=str(text("First moment of the range")))
@click.option("--to", "stop", help=str(text("End of the range (exclusive)")))
@click.option("--within", default=None, help=str(text("Conversion window of the funnel, e.g. 7d")))
@click.option("--json", "as_json", is_flag=True, help=str(text("One JSON object on stdout")))
@workspace_option
@language_option
def report(workspace_dir: Path | None, out: Path, as_json: bool, **question: Any) -> None:
    """Write the report page."""
    from upswing.report.review import review_page

    given: dict[str, Any] = {
        k: (list(v) if isinstance(v, tuple) else v) for k, v in question.items() if v not in (None, ())
    }
    with open_workspace(workspace_dir) as workspace:
        if language_argument() is None:
            workspace.use_locale()
        answer = workspace.report(**given, progress=lambda part: say(f"  {part}"))
        write_page(out, review_page(answer))
    if as_json:
        click.echo(answer.to_json())
    else:
        for line in answer.sentences():
            click.echo(str(line))
    say(text("written: {file}", file=out))


@click.command(help=str(text("Simulate a product whose truths are known, import it, and analyse it.")))
@click.option("--seed", type=int, default=7, show_default=True, help=str(text("Same seed, same events")))
@click.option(
    "--users", type=click.IntRange(min=100), default=200_000, show_default=True, help=str(text("Number of users"))
)
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("demo"), show_default=True,
              help=str(text("Folder of the demo's workspace")))  # fmt: skip
@language_option
def demo(seed: int, users: int, folder: Path) -> None:
    """Build the demo and answer with it."""
    from upswing.demo.run import run_demo

    run_demo(seed=seed, users=users, folder=folder, say=click.echo)
