"""Everything under docs/statistics that is measured, by one command: `python bench/statistics [--quick]`.

Operating characteristics of the experiment statistics, recovery and coverage of the growth models, and speed beside
other libraries. About a quarter of an hour on one core; `--quick` takes a tenth of the runs, into a temporary folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "statistics"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    out = Path(tempfile.mkdtemp(prefix="upswing-statistics-")) if quick else DOCS
    share = 10 if quick else 1
    for script, *options in (
        ("inference.py", "--runs", str(2000 // share)),
        ("growth_recovery.py", "--runs", str(600 // share), "--customers", "1000"),
        ("peers.py", "--size", str(1_000_000 // share)),
    ):
        subprocess.run([sys.executable, str(HERE / script), *options, "--out", str(out)], check=True)
    sys.stdout.write(f"written to {out}\n")


if __name__ == "__main__":
    main()
