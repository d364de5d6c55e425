"""Progress of long work, on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from upswing.core.i18n import text


class ImportProgress:
    """A progress bar with rows per second; silent when stderr is not a terminal, except for the column proposal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=1.0, rate="")

    def __enter__(self) -> ImportProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, phase: object, fraction: float, rows_per_second: float | None = None) -> None:
        """Show how far a phase is."""
        rate = "" if not rows_per_second else str(text("{n} rows/s", n=f"{rows_per_second:,.0f}"))
        self._bar.update(self._task, description=str(phase), completed=fraction, rate=rate)

    def proposal(self, mapping: Any) -> None:
        """Show which column was taken for what."""
        self._console.print(str(mapping), markup=False)
