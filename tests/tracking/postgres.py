"""A private PostgreSQL on loopback: one cluster in a temporary folder, a fresh database whenever one is asked for."""

import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

URL_PASSWORD = "horse%2Fstaple"  # as it stands in an address: horse/staple


class PostgresUnavailable(Exception):
    """PostgreSQL is not installed, or does not start; the text says why."""


class PostgresCluster:
    """A running cluster."""

    def __init__(self) -> None:
        """Make and start it.

        Raises:
            PostgresUnavailable: that can't be done here.
        """
        self._bin = _find_programs_folder()
        self._folder = Path(tempfile.mkdtemp(prefix="convarium-pg-"))
        self.port = _find_free_port()
        self._database_numbers = itertools.count()
        if os.getuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
        secret = self._folder / "password"
        secret.write_text("horse/staple\n")
        secret.chmod(0o644)
        data = str(self._folder / "data")
        self._run_program(
            "initdb", "-D", data, "-U", "owner", "-A", "scram-sha-256", "--pwfile", str(secret), "--no-sync"
        )
        options = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -p {self.port} -c fsync=off"
        log = str(self._folder / "log")
        self._run_program("pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "-t", "60", "start")

    def create_database(self) -> str:
        """Return the address of a new database."""
        import psycopg2

        name = f"fresh{next(self._database_numbers)}"
        opened = psycopg2.connect(self.address_of("postgres"))
        opened.autocommit = True
        opened.cursor().execute(f"CREATE DATABASE {name}")
        opened.close()
        return self.address_of(name)

    def address_of(self, database: str, password: str = URL_PASSWORD) -> str:
        """Return the address of a database."""
        return f"postgresql://owner:{password}@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        """End it and remove all of it."""
        self._run_program("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run_program(self, program: str, *arguments: str) -> None:
        command = [*_build_user_prefix(), str(self._bin / program), *arguments]
        null = subprocess.DEVNULL
        done = subprocess.run(command, stdout=null, stderr=subprocess.PIPE, cwd="/", text=True, check=False)
        if done.returncode:
            raise PostgresUnavailable(f"PostgreSQL's {program} failed: {done.stderr.strip()[:300]}")


def _find_programs_folder() -> Path:
    """Return the folder of PostgreSQL's server programs: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not places:
        raise PostgresUnavailable("no PostgreSQL: apt-get install postgresql")
    return places[-1].parent


def _build_user_prefix() -> Sequence[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])
