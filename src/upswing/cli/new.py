"""``upswing new KIND NAME``: a first file of a kind, to be changed by a person."""

from __future__ import annotations

import re
from pathlib import Path

import click

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text


def register(cli: click.Group) -> None:
    """Add the command."""
    from upswing.cli.main import language_option, open_workspace, say, workspace_option

    @cli.command("new", help=str(text("Write a first file of a kind, e.g. upswing new hypothesis shorter_form.")))
    @click.argument("kind")
    @click.argument("name")
    @workspace_option
    @language_option
    def new(kind: str, name: str, workspace_dir: Path | None) -> None:
        from upswing.spec.starters import FOLDERS, STARTERS, starter

        if kind not in STARTERS:
            raise UsageError(
                text("there is no kind '{kind}'", kind=kind), code="UP677", hint=did_you_mean(kind, STARTERS)
            )
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise UsageError(
                text("'{name}' is no name: lower_snake_case, beginning with a letter", name=name), code="UP678"
            )
        with open_workspace(workspace_dir) as workspace:
            path = workspace.root / FOLDERS[kind] / f"{name}.yml"
            if path.exists() or name in workspace.definitions.by_kind.get(kind, {}):
                raise UsageError(
                    text("there is a {kind} named '{name}' already", kind=kind, name=name), code="UP675",
                    hint=text("choose another name, or remove {file}", file=path.relative_to(workspace.root)),
                )  # fmt: skip
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(starter(kind, name), encoding="utf-8")
        say(text("written: {file}", file=path))
