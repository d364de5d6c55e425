"""A PostgreSQL cluster of our own, from the binaries of the system's package, for the time of the tests."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDERS = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin"))


def binaries() -> Path | None:
    """Folder with initdb and postgres."""
    return next((f for f in _FOLDERS if (f / "initdb").exists() and (f / "postgres").exists()), None)


def why_not() -> str | None:
    """Why no cluster can be had here; None if it can."""
    if binaries() is None:
        return "PostgreSQL's binaries are not installed (Debian: postgresql)"
    if os.geteuid() == 0 and (_user() is None or shutil.which("setpriv") is None):
        return "PostgreSQL does not run as root, and there is no other account to run it"
    return None


@contextmanager
def cluster() -> Iterator[str]:
    """URL of a fresh database on a free port of the loopback."""
    found = binaries()
    assert found is not None
    folder = Path(tempfile.mkdtemp(prefix="upswing-pg-", dir="/tmp"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        user = _user()
        assert user is not None
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data, port = folder / "data", _free_port()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, capture_output=True, env=environment, cwd=folder, timeout=120)

    try:
        run(str(found / "initdb"), "-D", str(data), "-U", "upswing", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = f"-h 127.0.0.1 -p {port} -k {folder} -F"
        run(
            str(found / "pg_ctl"), "-D", str(data), "-w", "-t", "60", "-l", str(folder / "log"), "-o", settings, "start"
        )
        try:
            yield f"postgresql://upswing@127.0.0.1:{port}/postgres"
        finally:
            run(str(found / "pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
