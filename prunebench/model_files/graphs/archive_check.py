"""What an archive of ``torch.export`` may hold, so that loading it runs no code of a stranger.

``torch.export.load`` unpickles example inputs, weights and constants of unusual kinds; evaluates
sizes, told as text, as Python; looks functions up by name; imports modules that the structure of
inputs names; writes the names of tensors and arguments into Python code, as they are; and loads
compiled libraries. What is pickled must therefore load as tensors alone, sizes must be arithmetic,
functions operators of PyTorch, and all names words.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import torch

from prunebench.errors import RequestError
from prunebench.model_files.graphs.aten_graph import NAMESPACES, WITH_FILES

TRUST = "could run code; if you trust the file, allow unsafe pickles"

TARGETS = re.compile(
    rf"torch\.ops\.({'|'.join(NAMESPACES)})\.(?!({'|'.join(WITH_FILES)})\.)\w+\.\w+"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge)"
    r"|torch\.sym_(int|max|min|not)"
)
"""What a graph may call: operators that compute, and arithmetic of sizes."""
FILES = re.compile(r"(weight|tensor)_\d+")
"""Where a tensor may be in the archive; all else is unpickled."""
NAMES = re.compile(r"[\w.-]*", re.ASCII)
"""How all may be called that a file names: harmless wherever it stands in code."""
STACKS = re.compile(r"[\w.,;@<>\[\]' -]*", re.ASCII)
"""Modules that a call was in, whose names are made safe later."""
UNUSED = {
    *("stack_trace", "torch_fn", "source_fn_stack", "from_node", "custom"),
    *("torch_version", "guards_code", "as_string", "as_strings"),
}
"""Texts that are never code: notes, and arguments, which are written with quotes around them."""
WORDS = {
    *("Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Max", "Min", "int_oo", "oo"),
    *("FloorDiv", "CeilDiv", "CleanDiv", "Mod", "PythonMod", "ModularIndexing", "PowByNatural"),
    *("IntTrueDiv", "FloatTrueDiv", "ToFloat", "CeilToInt", "FloorToInt", "TruncToInt"),
    *("Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "And", "Or", "Not"),
    *("LessThan", "StrictLessThan", "GreaterThan", "StrictGreaterThan", "True", "False"),
    *("positive", "nonnegative", "integer", "finite", "real", "zero", "nonzero"),
}
"""Names in a size; beside those of sizes themselves, such as ``s77``."""


def check_archive(path: Path) -> None:
    """Refuse an archive that could run code as it is loaded.

    Raises:
        RequestError: It could, or it is no such archive.
    """
    try:
        reader = torch._C.PyTorchFileReader(str(path))
        names = reader.get_all_records()
        kind = reader.get_record("archive_format") if "archive_format" in names else b""
        texts = {n: reader.get_record(n) for n in names if n.endswith((".json", ".pt"))}
    except RuntimeError as error:
        raise RequestError(describe_failure(error)) from None
    if kind != b"pt2":
        raise RequestError(
            "is no archive of torch.export.save, or one of torch 2.7 or earlier; export the "
            "network again, or, if you trust the file, allow unsafe pickles"
        )
    if any(name.startswith("data/aotinductor/") for name in names):
        raise RequestError("holds compiled code; give the archive of torch.export.save")
    for name, content in texts.items():
        if name.endswith(".pt"):
            _check_pickle(name, content)
        else:
            _check_json(name, content)


def describe_failure(error: Exception) -> str:
    """Say that an archive cannot be loaded, and why."""
    first = str(error).strip().partition("\n")[0]
    return f"cannot be loaded by torch {torch.__version__}: {first or type(error).__name__}"


def _check_pickle(name: str, content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:
        raise RequestError(f"holds a pickle, {name}, that {TRUST}") from None


def _check_json(name: str, content: bytes) -> None:
    try:
        _check_told(json.loads(content))
    except (ValueError, RecursionError):
        raise RequestError(f"is damaged: {name} is no JSON") from None


def _check_told(told: Any, key: str = "") -> None:
    """Look at every text that the archive tells, by the key that it stands under."""
    if isinstance(told, dict):
        if told.get("use_pickle"):
            raise RequestError(f"holds a pickled tensor, which {TRUST}")
        for each, value in told.items():
            _check_told(each)
            _check_told(value, each)
    elif isinstance(told, list):
        for value in told:
            _check_told(value, key)
    elif isinstance(told, str) and not _is_harmless(told, key):
        raise RequestError(f"holds {told[:80]!r}, which {TRUST}")


def _is_harmless(told: str, key: str) -> bool:
    if key in ("target", "as_operator"):
        return TARGETS.fullmatch(told) is not None
    if key == "path_name":
        return FILES.fullmatch(told) is not None
    if key == "expr_str":
        words = re.findall(r"[^\W\d]\w*", told)
        plain = all(word in WORDS or re.fullmatch(r"[su]\d+", word) for word in words)
        return plain and set(re.sub(r"\w", "", told)) <= set("-+*/(),.=' <>")
    if key in ("in_spec", "out_spec"):  # JSON within JSON, which may name modules to import
        imports = any(part in told for part in ("__enum__", "default_factory", "\\u"))
        return not imports and _is_plain_spec(told)
    if key == "nn_module_stack":
        return STACKS.fullmatch(told) is not None
    return key in UNUSED or NAMES.fullmatch(told) is not None


def _is_plain_spec(told: str) -> bool:
    """Tell whether all texts of a structure are names, or further JSON of names."""

    def is_plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(is_plain(each) for each in (*value, *value.values()))
        if isinstance(value, list):
            return all(is_plain(each) for each in value)
        if isinstance(value, str) and not NAMES.fullmatch(value):
            return is_plain(json.loads(value))
        return True

    try:
        return is_plain(json.loads(told))
    except ValueError:
        return False
