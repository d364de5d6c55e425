"""``python -m upswing`` is the same as ``upswing``."""

from upswing.cli.main import main

main()
