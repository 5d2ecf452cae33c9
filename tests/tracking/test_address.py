"""Which addresses can be a tracking server: known before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunebench.errors import RequestError
from prunebench.tracking.address import check_address, default_uri, find_database


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///",
        "sqlite://",
        "sqlite:db",
        "sqlite:///:memory:",
        "sqlite:////no/such/folder/mlflow.db",
        "sqlite:////",
        "http://",
        "http://:5000",
        "http://host:port",
        "http://host:99999",
        "https://[::1",
        "postgresql:database",
        "postgresql://user@host:port/database",
        "ftp://host",
        "nonsense",
        "http://host\0",
    ],
)
def test_what_can_be_no_server_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match="--tracking-uri"):
        check_address(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000",
        "https://user:password@host/path",
        "postgresql://user@host:5432/database",
        "postgresql+psycopg2:///database?host=/run",
        "file:///tmp/mlruns",
        "databricks",
    ],
)
def test_what_may_be_a_server_is_not(uri: str) -> None:
    check_address(uri)
    assert find_database(uri) is None


def test_a_database_is_a_file_in_a_folder_that_is_there(tmp_path: Path) -> None:
    check_address(default_uri(tmp_path))
    assert find_database(default_uri(tmp_path)) == tmp_path / "mlflow.db"
    assert find_database("sqlite+pysqlite:////tmp/a.db?timeout=3") == Path("/tmp/a.db")


def test_a_database_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # who is root may write anywhere
    with pytest.raises(RequestError, match=r"--tracking-uri: .* cannot be written"):
        check_address(default_uri(tmp_path))
