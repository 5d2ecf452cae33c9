"""``prunebench new``: a package with one plugin that works, to be changed into one's own."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import yaml

from prunebench.errors import RequestError
from prunebench.plugins.catalogue import to_plural
from prunebench.plugins.finding import entries

TEMPLATES = files("prunebench.plugins") / "templates"


@dataclass(frozen=True)
class Names:
    """What a plugin of a name is called in its package.

    Attributes:
        kind: As the entry-point groups name it, such as ``pruners``.
        name: Of the plugin and the package, such as ``my-pruner``.
    """

    kind: str
    name: str

    @property
    def module(self) -> str:
        """The import package, such as ``my_pruner``."""
        return self.name.replace("-", "_")

    @property
    def object(self) -> str:
        """What the entry point names: a class such as ``MyPruner``; of a CAM, a function."""
        if self.kind == "cams":
            return self.module
        return "".join(word.capitalize() for word in self.name.split("-"))

    def fill(self, template: str) -> str:
        """Return the text of a template of this kind, with the names put in."""
        words = {
            "kind": self.kind[:-1],
            "kinds": self.kind,
            "name": self.name,
            "module": self.module,
            "object": self.object,
            "title": self.name.replace("-", " ").capitalize(),
        }
        return Template(template).substitute(words)


def new_package(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a package with a plugin that works, its card, its test and a small suite.

    Args:
        kind: ``pruner``, ``model``, ``cam``, ``metric`` or ``dataset``.
        name: Of the plugin and of the package, in words of small letters and digits with hyphens
            between them.
        folder: Where the package's own folder, ``NAME``, is made.

    Returns:
        The files written.

    Raises:
        RequestError: No such kind, the name is taken or no name, the folder is not empty or
            cannot be written.
    """
    names = Names(to_plural(kind), name)
    _check_name(names)
    texts = {path: names.fill(text) for path, text in _read_templates(names).items()}
    _check_words(names, next(text for path, text in texts.items() if _is_plugin(path, names)))
    target = folder / name
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RequestError("is there already and not empty; nothing written", where=str(target))
        for path, text in texts.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot be written: {error.strerror}", where=str(target)) from error
    return [target / path for path in texts]


def _read_templates(names: Names) -> dict[str, str]:
    """Read templates, by the path of the file made; the kind's own replace the common ones."""
    module, kind = names.module, names.kind[:-1]
    paths = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "suite.yaml": "suite.yaml",
        "make_images.py": "make_images.py",
        "card.yaml": f"src/{module}/registry/{names.kind}/{names.name}.yaml",
        "package.py": f"src/{module}/__init__.py",
        "plugin.py": f"src/{module}/{kind}.py",
        "test.py": f"tests/test_{module}.py",
    }
    found = {}
    for template, path in paths.items():
        for root in (TEMPLATES / kind, TEMPLATES):
            source = root / f"{template}.template"
            if source.is_file():
                found[path] = source.read_text(encoding="utf-8")
                break
    return found


def _is_plugin(path: str, names: Names) -> bool:
    return path == f"src/{names.module}/{names.kind[:-1]}.py"


def _check_name(names: Names) -> None:
    name = names.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
        near = re.sub(r"[^a-z0-9]+", "-", spaced.lower()).strip("-0123456789")
        raise RequestError(
            f"{name!r} is no name: expected words of small letters and digits with hyphens "
            f"between them; {f'did you mean {near!r}?' if near else 'such as my-pruner'}"
        )
    if len(name) > 64:
        raise RequestError(f"the name has {len(name)} letters; at most 64 are allowed")
    # Python and YAML have words of their own: True, null, yes.
    if keyword.iskeyword(names.object) or yaml.safe_load(name) != name:
        raise RequestError(
            f"{name!r} is read as another word than a name; choose another name, such as "
            f"'my-{name}'"
        )
    if claims := entries(names.kind).get(name):
        raise RequestError(
            f"there is a {names.kind[:-1]} {name!r} already, of package {claims[0].package!r}; "
            "choose another name"
        )
    module = names.module
    reserved = keyword.iskeyword(module) or module in sys.stdlib_module_names
    if reserved or _is_installed(module):
        raise RequestError(
            f"a module {module!r} would hide Python's or an installed one; choose another name, "
            f"such as 'my-{name}'"
        )


def _is_installed(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def _check_words(names: Names, plugin: str) -> None:
    """Refuse a name whose class would hide a word that its own module uses."""
    used = {node.id for node in ast.walk(ast.parse(plugin)) if isinstance(node, ast.Name)}
    used |= {node.arg for node in ast.walk(ast.parse(plugin)) if isinstance(node, ast.arg)}
    if names.object in used or hasattr(builtins, names.object):
        raise RequestError(
            f"the name {names.name!r} would make {names.object!r}, a word that the plugin itself "
            f"needs; choose another name, such as 'my-{names.name}'"
        )
