"""Addresses of tracking servers: refused before anything is computed, where they can be none."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from prunebench.errors import RequestError
from prunebench.input_files import is_folder

SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "file", "databricks")
WHERE = "--tracking-uri"


def default_uri(store: Path) -> str:
    """Return the address of a store's embedded tracking database."""
    return f"sqlite:///{store.absolute() / 'mlflow.db'}"


def without_password(text: str) -> str:
    """Return a text without the user and password of an address in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def find_database(uri: str) -> Path | None:
    """Return the file of an SQLite database; None for another server."""
    form = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(\?.*)?", uri)
    return Path(form[1]).absolute() if form else None


def check_address(uri: str) -> None:
    """Refuse what can be no tracking server.

    Raises:
        RequestError: The scheme is none that MLflow knows, there is no host or no such port, or
            the database names no file that can be written, in a folder that is there.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in SCHEMES or not _is_well_formed(uri, scheme):
        raise RequestError(
            f"{without_password(uri)!r} is no tracking server; expected http://..., "
            "postgresql://... or sqlite:///FILE",
            where=WHERE,
        )
    if scheme == "sqlite":
        file = find_database(uri)
        if file is None or file.name == ":memory:" or is_folder(file):
            raise RequestError(f"{uri!r} names no file; expected sqlite:///FILE", where=WHERE)
        if not is_folder(file.parent):
            raise RequestError(f"{uri!r}: there is no folder {str(file.parent)!r}", where=WHERE)
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise RequestError(f"{uri!r} cannot be written", where=WHERE)


def _is_well_formed(uri: str, scheme: str) -> bool:
    if scheme == "databricks":
        return True
    if "\0" in uri or not uri.isprintable():
        return False
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # a port that is no number, half an IPv6 address
        return False
    if scheme in ("http", "https"):
        return bool(parts.hostname) and port != 0
    return scheme == "file" or "://" in uri
