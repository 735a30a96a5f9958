"""Trackers that can't be written to: one line, exit code 2, no traceback, and never the password."""

import importlib.util
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from convarium.cli import main
from tracking.postgres import PostgresCluster

pytestmark = pytest.mark.xdist_group("mlflow")

Said = Callable[..., str]


@pytest.fixture
def said(stored: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """What a command that is the user's mistake says."""

    def run(*arguments: str) -> str:
        assert main([*arguments, f"runtime.store={stored}"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        return line

    return run


@pytest.fixture
def answering() -> Iterator[Callable[[int], int]]:
    """Start a server that answers every request with one status; return its port."""
    servers = []

    def start(status: int) -> int:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"<html>hello</html>")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        servers.append(HTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return int(servers[-1].server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("revision", "expected"),
    [("ffffffffffff", "a newer MLflow made it"), ("451aebb31d03", "mlflow db upgrade sqlite:")],
)
def test_a_database_of_another_version(said: Said, empty: str, revision: str, expected: str) -> None:
    with closing(sqlite3.connect(empty.removeprefix("sqlite:///"))) as opened:
        opened.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        opened.commit()
    line = said("sync", "--uri", empty)
    assert expected in line
    assert f"its schema {revision}" in line


def test_a_store_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "nowhere" / "x"
    assert main(["sync", f"runtime.store={place}"]) == 2
    assert capsys.readouterr() == ("", f"convarium: {place} is not a store: it has no store.json\n")
    assert not place.parent.exists()


def test_a_folder_that_is_not_there(said: Said, tmp_path: Path) -> None:
    assert f"the folder {tmp_path}/no is not there" in said("sync", "--uri", f"sqlite:///{tmp_path}/no/x.db")
    assert not (tmp_path / "no").exists()


def test_a_file_that_is_no_database(said: Said, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, no runs")
    assert "is not a SQLite database" in said("sync", "--uri", f"sqlite:///{tmp_path / 'notes.txt'}")


@pytest.mark.parametrize("table", ["experiments", "tags", "notes"])
def test_a_database_of_somebody_else_stays_as_it_is(said: Said, tmp_path: Path, table: str) -> None:
    file = tmp_path / "lab.db"
    with closing(sqlite3.connect(file)) as opened:
        opened.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, title TEXT)")
        opened.commit()
    before = file.read_bytes()
    expected = f"{file} is not an MLflow database: it holds other tables ({table}); name another file"
    assert expected in said("sync", "--uri", f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_a_database_whose_making_was_cut_off_is_made_whole(stored: Path, tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    from mlflow.store.tracking.dbmodels.initial_models import Base as Initial
    from sqlalchemy import create_engine

    Initial.metadata.create_all(create_engine(f"sqlite:///{file}"))
    assert main(["sync", "--uri", f"sqlite:///{file}", f"runtime.store={stored}"]) == 0


def test_a_wrong_password(said: Said, cluster: PostgresCluster) -> None:
    line = said("sync", "--uri", cluster.address_of("postgres", "wr%2Fong"))
    assert "password authentication failed" in line
    assert "wr%2Fong" not in line
    assert "wr/ong" not in line


def test_a_database_that_is_not_there(said: Said, cluster: PostgresCluster) -> None:
    assert 'database "nowhere" does not exist' in said("sync", "--uri", cluster.address_of("nowhere"))


@pytest.mark.parametrize("uri", ["postgresql://u:geheim@127.0.0.1:1/db", "http://u:geheim@127.0.0.1:1"])
def test_a_server_that_can_not_be_reached(said: Said, uri: str) -> None:
    line = said("sync", "--uri", uri)
    assert "Connection refused" in line
    assert "geheim" not in line


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, "refuses the user or the password"), (404, "is not an MLflow server"), (200, "is not an MLflow server")],
)
def test_a_server_that_refuses_or_is_another(
    said: Said, answering: Callable[[int], int], status: int, expected: str
) -> None:
    line = said("sync", "--uri", f"http://u:geheim@127.0.0.1:{answering(status)}")
    assert expected in line
    assert "geheim" not in line


@pytest.mark.parametrize("uri", ["file:mlruns", "mysql://u:geheim@host/db", "mlruns"])
def test_an_address_of_a_kind_that_is_not_supported(said: Said, uri: str) -> None:
    assert "write sqlite:///" in (line := said("sync", "--uri", uri)) or "expected sqlite:///" in line


def test_postgresql_without_its_driver(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "psycopg2" else found(name, *rest)
    )
    assert "psycopg2 is missing: pip install psycopg2-binary" in said("sync", "--uri", "postgresql://u:p@host/db")


def test_a_port_in_use(said: Said) -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
        assert f"--port {port}: 127.0.0.1:{port} can't be listened on: Address already in use" in said(
            "ui", "--port", str(port)
        )


def test_a_port_that_is_none(said: Said) -> None:
    assert "expected a port from 1 to 65535" in said("ui", "--port", "70000")


def test_a_folder_that_can_not_be_written_to(said: Said, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in said("sync", "--uri", f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")
