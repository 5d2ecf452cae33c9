from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
from visiting import Visit, watch

PHONE = {"width": 390, "height": 844}
SAME_KIND = 2  # pages of one folder that are looked at; they come from one template

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]

UNNAMED = """() => [...document.querySelectorAll("main :is(img, canvas, svg, [role=img])")]
  .filter((one) => !one.parentElement.closest("svg"))
  .filter((one) => !one.closest("[aria-hidden=true]"))
  .filter((one) => !one.parentElement.closest("[role=img]"))
  .filter((one) => !(one.getAttribute("alt") || one.getAttribute("aria-label")))
  .map((one) => one.outerHTML.slice(0, 200))"""

LINKS = """() => [...document.links]
  .filter((link) => !link.matches(".skip")).map((link) => link.href)"""

SCROLLS = "() => document.documentElement.scrollWidth > innerWidth"

CONTRASTS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  return Object.fromEntries(["h1", "main a", "main p", "button", "header nav a", "footer"]
    .map((chosen) => [chosen, document.querySelector(chosen)]).filter(([, one]) => one)
    .map(([chosen, one]) => {
      const [a, b] = [light(numbers(getComputedStyle(one).color)), light(behind(one))];
      return [chosen, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
    }));
}"""


@dataclass
class Tour:
    """What was seen on the pages of a site.

    Attributes:
        site: Its folder.
        problems: By page: console, errors, dialogs, requests.
        unnamed: By page: pictures without a text alternative.
        wide: Pages that scroll sideways on a phone.
        links: By page: addresses in it.
        ran: Pages on which a script from a record ran.
        violations: By page: what axe-core says.
    """

    site: Path
    problems: dict[str, list[str]] = field(default_factory=dict)
    unnamed: dict[str, list[str]] = field(default_factory=dict)
    wide: list[str] = field(default_factory=list)
    links: dict[str, list[str]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)


def pages(site: Path) -> Iterator[str]:
    """The pages to look at: all at the root, some of each folder, and rows of every kind."""
    seen: dict[Path, int] = {}
    for path in sorted(site.rglob("*.html")):
        place = path.parent
        seen[place] = seen.get(place, 0) + 1
        if path.name != "row.html" and (place == site or seen[place] <= SAME_KIND):
            yield path.relative_to(site).as_posix()
    roles = set()
    for path in sorted((site / "rows").glob("*.js")):
        role = re.search(r'"role":"(\w+)"', path.read_text(encoding="ascii"))
        if role and role[1] not in roles:
            roles.add(role[1])
            yield f"row.html#{path.stem}"


def travel(browser: Any, site: Path) -> Tour:
    tour = Tour(site)
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is missing")
    script = (files(axe) / "axe.min.js").read_text(encoding="utf-8")
    for address in pages(site):
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        visit = Visit(context.new_page())
        watch(visit)
        page = visit.open(site, address)
        page.wait_for_timeout(250)
        tour.unnamed[address] = page.evaluate(UNNAMED)
        tour.links[address] = page.evaluate(LINKS)
        page.evaluate(script)
        tour.violations[address] = [
            f"{found['id']}: {found['nodes'][0]['html'][:200]}"
            for found in page.evaluate(
                "(rules) => axe.run({ preload: false, runOnly: rules })", RULES
            )["violations"]
        ]
        page.set_viewport_size(PHONE)
        # Figures are drawn anew for the narrow window, a moment after it has changed.
        for _ in range(30):
            if not page.evaluate(SCROLLS):
                break
            page.wait_for_timeout(100)
        else:
            tour.wide.append(address)
        if page.evaluate("() => window.pwned"):
            tour.ran.append(address)
        tour.problems[address] = visit.problems
        context.close()
    return tour


@pytest.fixture(scope="module")
def published_tour(browser: Any, published: Path) -> Tour:
    return travel(browser, published)


@pytest.fixture(scope="module")
def nasty_tour(browser: Any, nasty: Path) -> Tour:
    return travel(browser, nasty)


@pytest.fixture(params=[pytest.param("published", marks=pytest.mark.sweep), "nasty"])
def tour(request: pytest.FixtureRequest) -> Tour:
    found = request.getfixturevalue(f"{request.param}_tour")
    assert isinstance(found, Tour)
    return found


pytestmark = pytest.mark.slow  # half a minute for each site


def only(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {address: what for address, what in found.items() if what}


def test_pages_are_quiet_and_ask_nothing_off_the_disk(tour: Tour) -> None:
    assert {"index.html"} < set(tour.problems)
    assert only(tour.problems) == {}


def test_no_text_of_a_record_runs(tour: Tour) -> None:
    assert tour.ran == []


def test_every_picture_has_a_text_alternative(tour: Tour) -> None:
    assert only(tour.unnamed) == {}


def test_pages_do_not_scroll_sideways_on_a_phone(tour: Tour) -> None:
    assert tour.wide == []


def test_axe_finds_nothing(tour: Tour) -> None:
    assert only(tour.violations) == {}


def test_links_lead_to_pages_that_exist(tour: Tour) -> None:
    broken = []
    for address, links in tour.links.items():
        for link in set(links):
            parts = urlparse(link)
            if parts.scheme != "file":
                continue  # papers are on the web
            path = Path(unquote(parts.path))
            row = tour.site / "rows" / f"{unquote(parts.fragment)}.js"
            there = path.is_file() and path.is_relative_to(tour.site)
            if not there or (path.name == "row.html" and parts.fragment and not row.is_file()):
                broken.append((address, link))
    assert broken == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out(theme: str, visit: Callable[..., Visit], published: Path) -> None:
    opened = visit(theme=theme)
    for address in ("index.html", next(a for a in pages(published) if "#" in a)):
        page = opened.open(published, address)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) >= 5
        assert {what: c for what, c in contrasts.items() if c < 4.5} == {}
        assert page.evaluate("document.documentElement.dataset.theme") == theme
