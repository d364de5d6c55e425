"""The command line: generated from the registry of verbs, plus the commands that prepare a workspace.

stdout belongs to the answer; progress, messages and errors go to stderr. Exit codes: 0 done, 1 the answer is "no",
2 usage or definition error, 3 data error, 4 engine error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upswing.core.errors import UpswingError, UsageError
from upswing.core.i18n import LOCALES, set_locale, text
from upswing.verbs import VERBS, Param, Verb

if TYPE_CHECKING:
    from upswing.core.results import Result
    from upswing.workspace import Workspace


class Commands(click.Group):
    """Shows commands by group and keeps their order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Preparing commands first, then questions in the registry's order."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands under the heading of their group."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = str(getattr(command, "section", text("Prepare")))
            sections.setdefault(heading, []).append((name, command.get_short_help_str(90)))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def _language_from_environment() -> str:
    return os.environ.get("UPSWING_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or "en"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="upswing", message="upswing %(version)s")
def cli() -> None:
    """Upswing: diagnose where growth is lost, on your own event data."""


def main() -> None:
    """Entry point of the ``upswing`` command."""
    set_locale(language_argument() or _language_from_environment())
    _register()
    try:
        code = cli.main(standalone_mode=False)  # a click Exit comes back as its code
        if isinstance(code, int) and code:
            sys.exit(code)
    except UpswingError as error:
        _fail(error)
    except click.exceptions.Abort:
        click.echo(str(text("interrupted; nothing was changed")), err=True)
        sys.exit(130)
    except click.ClickException as error:
        if "--json" in sys.argv:
            click.echo(json.dumps({"ok": False, "error": error.format_message(), "code": "UP600"}, ensure_ascii=False))
        error.show()
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def workspace_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--workspace``."""
    return click.option(
        "--workspace", "-w", "workspace_dir", envvar="UPSWING_WORKSPACE", type=click.Path(path_type=Path), default=None,
        help=str(text("Folder of the workspace (UPSWING_WORKSPACE, or the current folder)")),
    )(command)  # fmt: skip


def language_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds ``--lang``; it is read before anything else is shown."""
    return click.option(
        "--lang", type=click.Choice(LOCALES), default=None, expose_value=False, help=str(text("Language: en or zh-CN"))
    )(command)


def open_workspace(folder: Path | None) -> Workspace:
    """The workspace named on the command line, or the current folder."""
    from upswing.workspace import Workspace

    return Workspace.open(folder or Path())


def note_change(workspace: Workspace, action: str, target: str = "") -> None:
    """Write a change into the audit log of a workspace that keeps one; a server that holds it has done so already."""
    from upswing.workspace.holder import holder_of

    kept = workspace.project.facts is not None or (workspace.root / "data" / "facts.sqlite").exists()
    if not kept or holder_of(workspace.root) is not None:
        return
    from upswing.facts.database import Facts

    with Facts.open(workspace.root, workspace.project.facts) as facts:
        facts.audit.record("local", action, target[:200])


def say(message: object) -> None:
    """A message to people, on stderr."""
    click.echo(str(message), err=True)


def _register() -> None:
    if cli.commands:
        return
    from upswing.cli import admin, files, new, prepare, serve
    from upswing.cli.words import translate_library, translated

    translate_library()
    for parameter in cli.params:
        if isinstance(parameter, click.Option) and parameter.name == "version":
            parameter.help = translated("Show the version and exit.")
    cli.help = str(text("Upswing: diagnose where growth is lost, on your own event data."))
    language_option(cli)
    prepare.register(cli)
    files.register(cli)
    new.register(cli)
    serve.register(cli)
    admin.register(cli)
    for verb in VERBS:
        cli.add_command(_command(verb))


def _command(verb: Verb) -> click.Command:
    def answer(workspace_dir: Path | None, as_json: bool, as_csv: bool, html: Path | None, **given: Any) -> None:
        from upswing.workspace.asking import ask

        said = {k: v for k, v in given.items() if v is not None and v is not False and v != ()}
        arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in said.items()}
        with open_workspace(workspace_dir) as workspace:
            result = ask(workspace, verb.method, arguments)
        emit(result, as_json=as_json, as_csv=as_csv, html=html)
        if result.passed() is False:
            raise click.exceptions.Exit(1)

    params: list[click.Parameter] = [_parameter(p) for p in verb.params]
    command = click.Command(
        verb.name, callback=answer, params=params, help=str(text("{sentence}.", sentence=verb.help))
    )
    command.section = verb.group  # type: ignore[attr-defined]
    for option in (
        click.Option(["--workspace", "-w", "workspace_dir"], envvar="UPSWING_WORKSPACE", type=click.Path(path_type=Path),
                     help=str(text("Folder of the workspace (UPSWING_WORKSPACE, or the current folder)"))),
        click.Option(["--json", "as_json"], is_flag=True, help=str(text("One JSON object on stdout"))),
        click.Option(["--csv", "as_csv"], is_flag=True, help=str(text("The main table as CSV on stdout"))),
        click.Option(["--html"], type=click.Path(path_type=Path), help=str(text("Write a self-contained page to this file"))),
        click.Option(["--lang"], type=click.Choice(LOCALES), expose_value=False, help=str(text("Language: en or zh-CN"))),
    ):  # fmt: skip
        command.params.append(option)
    return command


def _parameter(param: Param) -> click.Parameter:
    kinds: dict[str, Any] = {"text": str, "integer": int, "number": float, "flag": bool, "choice": str}
    kind: Any = click.Choice(param.choices) if param.kind == "choice" else kinds[param.kind]
    if param.positional:
        return click.Argument([param.key], required=False, nargs=-1 if param.many else 1, type=kind)
    if param.kind == "flag":
        return click.Option([f"--{param.flag}", param.key], is_flag=True, help=str(param.help))
    shown = f" [{param.default}]" if param.default is not None else ""
    return click.Option(
        [f"--{param.flag}", param.key], type=kind, multiple=param.many, default=None, help=str(param.help) + shown
    )


def emit(result: Result, *, as_json: bool = False, as_csv: bool = False, html: Path | None = None) -> None:
    """Show a result in the form asked for: JSON, CSV, a page, or a table in the terminal."""
    if html is not None:
        from upswing.report.html import page

        write_page(html, page([result]))
        say(text("written: {file}", file=html))
    if as_json:
        click.echo(result.to_json())
    elif as_csv:
        click.echo(result.to_csv(), nl=False)
    elif html is None:
        from upswing.report.terminal import print_result

        print_result(result)


def write_page(path: Path, body: str) -> None:
    """Write a page; its folder is made.

    Raises:
        UsageError: UP609 it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    except OSError as error:
        message = text("'{file}' cannot be written: {reason}", file=path, reason=error.strerror or error)
        raise UsageError(message, code="UP609", hint=text("choose another place, or make room")) from None


def _fail(error: UpswingError) -> None:
    if "--json" in sys.argv:
        click.echo(json.dumps(error.to_dict(), ensure_ascii=False))
    say(error)
    sys.exit(error.exit_code)


def language_argument() -> str | None:
    """The language named on the command line, before click reads it."""
    for position, word in enumerate(sys.argv[1:], start=1):
        if word.startswith("--lang="):
            return word.split("=", 1)[1]
        if word == "--lang" and position + 1 < len(sys.argv):
            return sys.argv[position + 1]
    return None
