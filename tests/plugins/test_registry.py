"""The catalogue: every built-in plugin has a card, a summary and explained parameters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from prunebench.plugins import KINDS, Entry, entries, find
from prunebench.plugins.cards import Card, Paper, Published, read_card
from prunebench.plugins.catalogue import describe_plugin, make_catalogue

REGISTRY = Path(__file__).parent.parent.parent / "registry"
BUILT_IN = [
    pytest.param(entry, id=f"{kind}/{name}")
    for kind in KINDS
    for name, claims in entries(kind).items()
    for entry in claims
    if entry.package == "prunebench"
]
CARDS = sorted(path for kind in KINDS for path in (REGISTRY / kind).iterdir())

# What these are follows from their names and types.
SELF_EXPLAINING = {"optimizer", "weight_decay", "batch_size", "schedule", "augment"}


@pytest.mark.parametrize("kind", KINDS)
def test_entry_points_and_cards_are_the_same_set(kind: str) -> None:
    names = {name for name, claims in entries(kind).items() if claims[0].package == "prunebench"}
    files = {path.name for path in (REGISTRY / kind).iterdir()}
    assert files == {f"{name}.yaml" for name in names}


@pytest.mark.parametrize("path", CARDS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_card_is_valid_and_says_what_it_is_about(path: Path) -> None:
    card = Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert card.title.strip()
    assert re.fullmatch(r"[A-Z0-9].*\.", card.summary), "the summary is one sentence"
    assert "\n" not in card.summary
    assert len(card.summary) <= 200
    assert card.family.strip()
    assert all(choice.strip() for choice in card.choices)
    if card.paper is not None:
        assert _well_formed(card.paper)
    assert all(_has_source(published) for published in card.published)


def _well_formed(paper: Paper) -> bool:
    assert paper.title.strip()
    assert paper.authors.strip()
    assert 1900 < paper.year < 2100
    assert paper.doi is None or re.fullmatch(r"10\.\d{4,9}/\S+", paper.doi)
    assert paper.arxiv is None or re.fullmatch(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}", paper.arxiv)
    assert paper.url is None or paper.url.startswith("https://")
    return True


def _has_source(published: Published) -> bool:
    return bool(published.what.strip() and published.source.strip())


@pytest.mark.parametrize("entry", BUILT_IN)
def test_parameters_are_explained(entry: Entry) -> None:
    for name, field in entry.plugin_class.model_fields.items():
        assert field.description or name in SELF_EXPLAINING, f"{name} has no description"
        assert field.annotation is not None


@pytest.mark.parametrize("entry", BUILT_IN)
def test_a_plugin_describes_itself(entry: Entry) -> None:
    text = describe_plugin(entry.kind, entry.name)
    assert describe_plugin(entry.kind.removesuffix("s"), entry.name) == text
    card = read_card(entry)
    assert card is not None
    assert card.title in text
    assert card.summary in text
    for choice in card.choices:
        assert choice in text
    parameters = text.partition("\nparameters:\n")[2]
    for name in entry.plugin_class.model_fields:
        assert f"  {name} (" in parameters
    assert parameters.strip()
    for inside in ("PydanticUndefined", "pathlib.", "FieldInfo", "PosixPath"):
        assert inside not in parameters


@pytest.mark.parametrize("entry", BUILT_IN)
def test_a_plugin_has_a_version_and_a_docstring_of_its_own(entry: Entry) -> None:
    assert isinstance(entry.plugin_class.version, int)
    assert entry.plugin_class.version >= 1
    docstring = entry.plugin_class.__doc__ or ""
    assert docstring.strip()
    bases = entry.plugin_class.__mro__[1:]
    assert docstring not in [base.__doc__ for base in bases]


def test_the_catalogue_is_whole_and_unbroken() -> None:
    rows = [row for row in make_catalogue() if row["package"] == "prunebench"]
    assert len(rows) == len(BUILT_IN)
    assert not [row for row in rows if row["broken"]]
    assert all(row["summary"] for row in rows)
    assert find("models", "torchvision/resnet18").name == "torchvision"
