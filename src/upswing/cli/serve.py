"""``upswing serve``: the server in the foreground."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from upswing.cli.main import language_option, say, workspace_option
from upswing.core.errors import UsageError
from upswing.core.i18n import text


def register(group: click.Group) -> None:
    """Add the command."""
    group.add_command(serve)


@click.command(help=str(text("Serve the workspace: pages, questions and events over HTTP, from one process.")))
@click.option("--host", default="127.0.0.1", show_default=True, help=str(text("Address to listen on")))
@click.option("--port", type=click.IntRange(0, 65535), default=8420, show_default=True, help=str(text("Port")))
@click.option("--allow-host", "hosts", multiple=True, help=str(text("A further name under which browsers may ask")))
@click.option("--log-addresses", is_flag=True, help=str(text("Write the addresses of clients to the log")))
@workspace_option
@language_option
def serve(workspace_dir: Path | None, host: str, port: int, hosts: tuple[str, ...], log_addresses: bool) -> None:
    """Serve until interrupted."""
    try:
        from upswing.demo.fill import fill
        from upswing.server.run import run
        from upswing.server.settings import ServerSettings
        from upswing.web.site import add_pages
    except ImportError as error:
        raise UsageError(
            text("the server needs packages that are not installed: {name}", name=error.name),
            code="UP652",
            hint=text("pip install 'upswing[web]'"),
        ) from None
    settings = ServerSettings(host=host, port=port, hosts=hosts, log_addresses=log_addresses)
    run(workspace_dir or Path(), settings, say=say, add=(partial(add_pages, demo=fill),))
