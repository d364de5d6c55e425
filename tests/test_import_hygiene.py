"""What `import upswing` and `--help` may load: start-up time is part of the contract."""

import subprocess
import sys

import pytest

HEAVY = [
    "duckdb",
    "pandas",
    "numba",
    "scipy",
    "pyarrow",
    "fastapi",
    "matplotlib",
    "jinja2",
    "sqlglot",
    "pydantic",
    "rich",
]


def loaded(code: str) -> set[str]:
    probe = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


def test_import_upswing_is_light():
    assert loaded("import upswing") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["funnel", "--help"], ["--version"]])
def test_help_is_light(arguments):
    code = (
        f"import sys; sys.argv = ['upswing', *{arguments!r}]\n"
        "from upswing.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert loaded(code) == set()
