"""Archives of TorchScript, loaded where their code computes and does nothing else.

``torch.jit.load`` runs code of the archive: ``__setstate__`` of each object that has one, and the
defaults of arguments. That code is TorchScript, not Python, but TorchScript writes files too
(``torch.save``). The source is therefore read as text before. What is looked for is found in
strings as well, so that there is no second opinion on where a string ends.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch

from prunebench.errors import RequestError
from prunebench.model_files.graphs.aten_graph import NAMESPACES, WITH_FILES

BLANK = r"(?:[\s\\]|#[^\n]*\n)*"
"""What TorchScript skips between two words."""
FORBIDDEN = {
    rf"\.{BLANK}({'|'.join(WITH_FILES)})\b": "reads or writes files",
    rf"(?<![\w.])ops\b(?!\.(?:{'|'.join((*NAMESPACES, 'prim', 'quantized'))})\.)": (
        "calls operators that may do more than compute"
    ),
    r"\brpc_\w+": "calls other machines",
    rf"\.{BLANK}classes\b(?!\.quantized\.)": "makes objects that may do more than compute",
    r"\bgetattr\b": "looks up attributes by names that are not plain",
}
"""Patterns in source that is refused, and why; plain calls of ``getattr`` are taken out before."""
HOOKS = re.compile(r"__(?:set|get)state__")
CLASSES = re.compile(rb"\.classes\.(?!quantized\.)")
"""Objects of C++ in a pickle, which rebuild themselves, beside packed weights."""


def load_script(path: Path) -> torch.jit.ScriptModule:
    """Load an archive of TorchScript that computes and does nothing else.

    Raises:
        RequestError: It is no such archive, or its code does more, or runs as it is loaded.
    """
    try:
        sources, pickles = _read_records(path)
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise _refuse(error) from None
    _check_sources(sources)
    if any(CLASSES.search(content.replace(b"\n", b".")) for content in pickles):
        raise RequestError("holds objects of torch.classes, which may do more than compute")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated
            found: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location="cpu"
            )
            return found
    except Exception as error:  # a damaged archive can fail in any way
        raise _refuse(error) from None


def _read_records(path: Path) -> tuple[list[str], list[bytes]]:
    """Read source and pickles of an archive as torch finds them."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start.startswith(b"PK\3\4") or start.endswith(b"PTMF"):  # flatbuffers hold code too
        raise RuntimeError("it is no zip archive")
    reader = torch._C.PyTorchFileReader(str(path))
    names = reader.get_all_records()
    if "model.json" in names:
        raise RuntimeError("it is of a version of torch before 1.3")
    sources = [reader.get_record(n).decode() for n in names if n.lower().endswith(".py")]
    return sources, [reader.get_record(n) for n in names if n.lower().endswith(".pkl")]


def _check_sources(sources: Iterable[str]) -> None:
    for source in sources:
        if HOOKS.search(source):
            raise RequestError(
                "holds code that runs as it is loaded (__setstate__), as 8-bit networks of "
                "torch.ao do; export the network as .pt2 or ONNX"
            )
        plain = _write_plainly(source)
        for pattern, does in FORBIDDEN.items():
            if found := re.search(pattern, plain, re.ASCII):
                line = plain[plain.rfind("\n", 0, found.start()) + 1 :].partition("\n")[0]
                raise RequestError(f"holds code that {does}: {line.strip()[:80]}")


def _write_plainly(source: str) -> str:
    """Write ``getattr(a, "0")``, of modules whose names are numbers, as ``a.0``."""
    count = 1
    while count:
        source, count = re.subn(r'\bgetattr\(([\w.()]+), "([^"\\\n]*)"\)', r"\1.\2", source)
    return source


def _refuse(error: Exception) -> RequestError:
    first = str(error).strip().partition("\n")[0]
    return RequestError(f"is no TorchScript that can be loaded: {first or type(error).__name__}")
