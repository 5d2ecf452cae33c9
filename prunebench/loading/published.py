"""Weights that a row publishes: fetched once, and read only if they are what the row says."""

from __future__ import annotations

import hashlib
import urllib.request
import uuid
from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException, IncompleteRead
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from prunebench.datasets.downloads import find_cache_folder
from prunebench.errors import RequestError
from prunebench.input_files import is_file
from prunebench.loading.stored import load_stored
from prunebench.networks.portable import read_exported
from prunebench.progress import counting
from prunebench.record import Record, Weights
from prunebench.store import Store

MOST_BYTES = 4 * 2**30
"""Of a file that is fetched without asking."""
TIMEOUT = 30  # seconds without an answer
CHUNK = 2**20  # bytes


def fetch(weights: Weights, *, most_bytes: int = MOST_BYTES, quiet: bool = False) -> Path:
    """Fetch published weights into the cache folder, and hold them against their digest.

    Args:
        weights: What the record says of them.
        most_bytes: The largest file that is fetched.
        quiet: Show no progress.

    Returns:
        The file, whose content has the digest.

    Raises:
        RequestError: They cannot be fetched, are larger than allowed, or are something else.
    """
    if weights.bytes > most_bytes:
        raise RequestError(
            f"the weights have {weights.bytes:,} bytes; expected {most_bytes:,} at most "
            "(`most_bytes`)",
            where=weights.url,
        )
    kept = find_cache_folder() / "weights" / f"{weights.sha256}.safetensors"
    if not (is_file(kept) and _digest(kept) == weights.sha256):
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside = kept.with_name(f".{kept.name}-{uuid.uuid4().hex}")
        try:
            _copy(weights, beside, quiet)
            beside.replace(kept)
        except (OSError, HTTPException, ValueError) as error:
            raise RequestError(f"cannot be fetched: {_explain(error)}", where=weights.url) from None
        finally:
            beside.unlink(missing_ok=True)
    return kept


def _explain(error: Exception) -> str:
    """Say in a line what went wrong: of the address, of the answer, or of a file."""
    if isinstance(error, IncompleteRead):
        return "the answer ends in the middle"
    if isinstance(error, BadStatusLine):
        return f"the answer is not HTTP: {str(error.args[0])[:40]!r}"
    reason = getattr(error, "strerror", None) or str(getattr(error, "reason", error))
    return reason or type(error).__name__


def _copy(weights: Weights, target: Path, quiet: bool) -> None:
    digest, done = hashlib.sha256(), 0
    with (
        _open(weights.url) as source,
        target.open("wb") as file,
        counting(weights.bytes, "bytes of weights", quiet) as show,
    ):
        for chunk in _read_chunks(source):
            done += len(chunk)
            if done > weights.bytes:
                raise RequestError(
                    f"is longer than the {weights.bytes:,} bytes that the record says",
                    where=weights.url,
                )
            digest.update(chunk)
            file.write(chunk)
            show(done)
    if done < weights.bytes:
        raise RequestError(f"ended after {done:,} of {weights.bytes:,} bytes", where=weights.url)
    if digest.hexdigest() != weights.sha256:
        raise RequestError(
            f"holds something else than the record says (sha256 {digest.hexdigest()[:12]}..., "
            f"expected {weights.sha256[:12]}...); nothing of it was read",
            where=weights.url,
        )


def _open(url: str) -> IO[bytes]:
    """Open an address over HTTPS (over HTTP on this machine alone), or a path."""
    if "://" not in url or url.startswith("file://"):
        return Path(urlsplit(url).path if "://" in url else url).open("rb")
    _check_scheme(url)
    answer: IO[bytes] = _OPENER.open(url, timeout=TIMEOUT)
    return answer


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise RequestError("expected an address that begins with https://, or a path", where=url)


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)


def _read_chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_weights(record: Record, path: Path, url: str, store: Store) -> Weights:
    """Describe a file of weights, as a record does that publishes them.

    Args:
        record: The record.
        path: The file, which ``prunebench export --to safetensors`` wrote.
        url: Where others find it.
        store: The store where the network was made.

    Raises:
        RequestError: The file does not hold the record's network.
    """
    if path.suffix != ".safetensors":
        raise RequestError("expected a file of `export --to safetensors`", where=str(path))
    ours = load_stored(record, store).module.state_dict()
    theirs = read_exported(path, trusted=store.trusted).module.state_dict()
    if ours.keys() != theirs.keys() or not all(ours[name].equal(theirs[name]) for name in ours):
        raise RequestError(f"does not hold the network of {record.id}", where=str(path))
    return Weights(url=url, sha256=_digest(path), bytes=path.stat().st_size)
