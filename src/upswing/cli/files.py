"""Commands about definition files and error codes: fmt and explain."""

from __future__ import annotations

import re
from pathlib import Path

import click

from upswing.cli.main import language_option, open_workspace, say, workspace_option
from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import current_locale, text


def register(group: click.Group) -> None:
    """Add the commands to the command line."""
    for command in (fmt, explain):
        group.add_command(command)


@click.command(help=str(text("Write the definition files in one form: keys in order, comments kept.")))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", "only", is_flag=True, help=str(text("Change nothing; exit 1 where a file is in another form")))
@workspace_option
@language_option
def fmt(workspace_dir: Path | None, files: tuple[Path, ...], only: bool) -> None:
    """Format definition files."""
    from upswing.spec.definitions import definition_files
    from upswing.spec.formatting import formatted

    if not files:
        with open_workspace(workspace_dir) as workspace:
            files = tuple(sorted(definition_files(workspace.root)))
    changed = []
    for path in files:
        before = _read(path)
        after = formatted(before)
        if after != before:
            changed.append(path)
            if not only:
                _write(path, after)
    for path in changed:
        click.echo(str(path))
    say(text("{n} of {all} files are in another form", n=len(changed), all=len(files)) if only
        else text("{n} of {all} files rewritten", n=len(changed), all=len(files)))  # fmt: skip
    if only and changed:
        raise click.exceptions.Exit(1)


@click.command(help=str(text("What an error code means, and the way out: upswing explain UP302.")))
@click.argument("code")
@language_option
def explain(code: str) -> None:
    """Explain an error code."""
    entries = _entries()
    wanted = code.strip().upper()
    if wanted not in entries:
        raise UsageError(
            text("no error has the code '{code}'", code=code), code="UP615", hint=did_you_mean(wanted, entries)
        )
    title, body = entries[wanted]
    click.echo(f"{wanted}: {title}")
    chinese = current_locale() == "zh-CN"
    shown = {"中文": text("Meaning"), "Example": text("Example")} if chinese else {
        "Meaning": text("Meaning"), "Cause": text("Cause"), "Example": text("Example"), "Way out": text("Way out"),
    }  # fmt: skip
    for label, words in body:
        if label in shown:
            click.echo(f"  {shown[label]}: {words}")


def _entries() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Code → title, and the parts of its entry in the reference."""
    source = _reference().read_text(encoding="utf-8")
    found = {}
    for part in re.split(r"^### ", source, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        code, _, title = head.partition(": ")
        lines = re.findall(r"^- ([^:：]+)[:：] *(.+)$", body, re.MULTILINE)
        found[code] = (title, [(label, words) for label, words in lines if label != "Says"])
    return found


def _reference() -> Path:
    """The page of the errors: beside the package where it is installed, in the documentation where it is developed."""
    package = Path(__file__).parent.parent
    places = (package / "reference" / "errors.md", package.parent.parent / "docs" / "reference" / "errors.md")
    return next((p for p in places if p.is_file()), places[0])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError(text("'{file}' is not a text file that can be read", file=path), code="UP616") from None


def _write(path: Path, body: str) -> None:
    from upswing.cli.main import write_page

    write_page(path, body)
