"""The pages, the JSON and the conditions of a comparison."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_comparing import dead, network
from torch import Tensor, nn
from torch.nn.utils import prune

from prunebench.comparison import Comparison
from prunebench.comparison.advice import explain_speed, list_advice
from prunebench.comparison.classes import compare_classes, find_worst_by_accuracy
from prunebench.comparison.compare import compare
from prunebench.comparison.compared import Accuracies
from prunebench.comparison.costs import ComparedCosts, MedianTime, NetworkCost, TimedPair
from prunebench.comparison.gate import check_conditions, list_conditions
from prunebench.comparison.number_format import format_count, format_share
from prunebench.comparison.page_html import render_fragment
from prunebench.comparison.report import write_report
from prunebench.errors import RequestError
from prunebench.intervals import Interval
from prunebench.testing import assert_preserved

HOSTILE = "<img src=x onerror=alert(1)>\"&'</style><script>alert(2)</script>"
MET = MedianTime(1.0, 0.9, 1.1)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(30, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def found(images: Tensor) -> Comparison:
    with torch.no_grad():
        labels = network().eval()(images).argmax(1)
    return compare(
        network(), network(seed=1), images, labels, "grad-cam",
        names=[f"{HOSTILE}{i}" for i in range(30)],
        class_names=[f"{HOSTILE}|{i}" for i in range(4)],
        controls={HOSTILE: network(seed=2), "random": "random"},
        quiet=True,
    )  # fmt: skip


class Parsed(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_hostile_names_stay_text_and_nothing_outside_is_asked_for(found: Comparison) -> None:
    page = found.to_html()
    parsed = Parsed(page)
    assert "script" not in parsed.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    sources = [value for name, value in parsed.attributes if name in ("src", "href")]
    assert len(sources) > 10
    assert all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in page
    assert not re.findall(r"url\(|@import|https?://", page)
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 10
    markdown = found.to_markdown()
    assert "<img" not in markdown
    rows = [line for line in markdown.splitlines() if "|0 " in line]
    assert all("\\|0" in row for row in rows)


def test_a_fragment_is_the_page_without_its_frame(found: Comparison) -> None:
    fragment = render_fragment(found, pictures=2)
    assert "<html" not in fragment
    assert fragment.count("<figure>") == 2
    assert found.to_html().count("<figure>") == 10


def test_a_verdict_that_is_withheld_is_given_nowhere(found: Comparison, tmp_path: Path) -> None:
    reason = "the baseline answers at chance"
    withheld = replace(found, withheld=reason)
    assert withheld.verdict == withheld.answer == f"No verdict: {reason}."
    for page in (withheld.to_markdown(), withheld.to_html()):
        assert f"No verdict: {reason}." in page
        assert "Not trusted" not in page
        assert "ship" not in page
    assert "| no  " not in withheld.to_markdown()
    lines = withheld.check(sp2ps=0, max_drop=100)
    assert len(lines) == 2
    assert all(f"cannot be told (no verdict: {reason})" in line for line in lines)


def test_json_is_finite_and_holds_what_was_found(found: Comparison, tmp_path: Path) -> None:
    checked = check_conditions(found, list_conditions({"sp2ps": 0.99, "agreement": 0.0}, 100))
    write_report(tmp_path / "report.json", found, checked)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    report = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert report["schema"] == 1
    assert report["verdict"] == found.verdict
    scores = report["scores"]["grad-cam"]
    row = found.scores.loc["grad-cam"]
    for name in ("ssim", "sam", "sp2ps", "iou", "soft_iou", "pe_score"):
        assert scores[name]["mean"] == pytest.approx(row[name])
    assert (scores["sp2ps"]["low"], scores["sp2ps"]["high"]) == (row.sp2ps_low, row.sp2ps_high)
    assert set(report["controls"]) == {HOSTILE, "random"}
    assert report["accuracy"]["baseline"] == 1
    assert report["cost"] is None
    assert [each["met"] for each in report["conditions"]] == [False, True, True]
    assert report["passed"] is False


def test_what_is_undefined_is_null(images: Tensor, tmp_path: Path) -> None:
    blind = compare(dead(), dead(), images, cams="grad-cam", controls={"random": "random"})
    write_report(tmp_path / "report.json", blind)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["scores"]["grad-cam"]["sp2ps"]["mean"] is None
    assert report["accuracy"] is None
    assert "nothing can be said of chance" in blind.verdict
    assert report["passed"] is None
    assert "nan" not in blind.to_html().lower().replace("data:image", "").split("<svg")[0]
    (line,) = blind.check(sp2ps=0)
    assert "30 of 30 images have no map" in line


def test_conditions_hold_the_worse_end_of_the_interval(found: Comparison) -> None:
    low, mean = found.scores.loc["grad-cam", ["sp2ps_low", "sp2ps"]]
    assert found.check(sp2ps=low - 1e-6) == ()
    (line,) = found.check(sp2ps=(low + mean) / 2)
    assert line == (
        f"sp2ps by grad-cam: found {mean:.3f} (lower end {low:.3f}), wanted at least "
        f"{(low + mean) / 2:g}, 30 images"
    )
    drop = Interval(0.02, 0.01, 0.05, 30, 0, "paired bootstrap over images")
    fell = replace(found, accuracy=Accuracies(0.9, 0.88, drop))
    assert fell.check(max_drop=5) == ()
    (line,) = fell.check(max_drop=2)
    assert "found 2.00 (upper end 5.00), wanted at most 2 points" in line
    assert found.check(sp2ps={"grad-cam": 0}, pe_score=0, iou=0, soft_iou=0) == ()
    assert len(found.check(agreement=found.agreement)) == 1


def test_conditions_that_make_no_sense_are_refused(found: Comparison, images: Tensor) -> None:
    with pytest.raises(RequestError, match=r"did you mean 0\.9\?"):
        found.check(sp2ps=90)
    with pytest.raises(RequestError, match="expected a number"):
        found.check(sp2ps="high")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="did you mean 'grad-cam'"):
        found.check(sp2ps={"gradcam": 0.9})
    with pytest.raises(RequestError, match="needs labels"):
        replace(found, accuracy=None).check(max_drop=1)


def test_assert_preserved_fails_with_the_lines_of_check(images: Tensor) -> None:
    assert assert_preserved(network(), network(), images, cams="grad-cam").agreement == 1
    with pytest.raises(AssertionError, match="sp2ps by grad-cam: found") as failed:
        assert_preserved(network(), network(seed=1), images, agreement=1, cams="grad-cam")
    assert len(str(failed.value).splitlines()) == 3
    with pytest.raises(RequestError, match="from 0 to 1"):
        assert_preserved(network(), None, images, sp2ps=2)  # type: ignore[arg-type]


def test_classes_with_too_few_images_are_not_shown(found: Comparison) -> None:
    counts = found.per_image["label"].value_counts()
    classes = compare_classes(found)
    assert [each.images for each in classes] == [n for n in counts.sort_index() if n >= 10]
    drops = [each.drop.mean for each in find_worst_by_accuracy(classes) if each.drop]
    assert drops == sorted(drops, reverse=True)
    for each in classes:
        rows = found.per_image[found.per_image["label"].map(found.name_class) == each.name]
        assert each.sp2ps.mean == pytest.approx(rows["sp2ps"].mean())
        assert each.drop.mean == pytest.approx((rows["prediction_pruned"] != rows["label"]).mean())


def test_the_answer_weighs_accuracy_and_attention(found: Comparison) -> None:
    assert found.answer.startswith("Do not ship: accuracy fell by")
    found = replace(found, controls=found.controls.iloc[:1])
    assert "threshold 0.95" in found.answer
    unlabelled = replace(found, accuracy=None)
    assert unlabelled.answer.startswith("Look before you ship: there are no labels")
    kept = replace(found, scores=found.scores.assign(trusted=True, sp2ps_low=0.97))
    assert kept.answer.startswith("Ship only if the accuracy will do")


def costs(**pruned: Any) -> NetworkCost:
    given = {"params": 100, "nonzero_params": 100, "size_bytes": 400, "macs": 1000}
    return NetworkCost(**(given | pruned))


@pytest.mark.parametrize(
    ("pruned", "speedup", "reason"),
    [
        ({"macs": 500}, 1.0, "computes 50% less and is hardly faster"),
        ({"nonzero_params": 40}, 1.0, "60% of its parameters are zero"),
        ({"params": 50, "nonzero_params": 50}, 1.0, "where little is computed"),
        ({}, 1.0, ""),
        ({"macs": 500}, 1.9, ""),
        ({"macs": 500}, 1.005, "hardly"),
        ({"macs": None}, 1.0, ""),
    ],
)
def test_why_it_is_not_faster(pruned: dict[str, Any], speedup: float, reason: str) -> None:
    fast = MedianTime(speedup, 0.99 * speedup, 1.01 * speedup)
    timed = TimedPair(8, 30, MET, MET, fast)
    cost = ComparedCosts(costs(), costs(**pruned), (timed,), "a machine")
    assert reason in explain_speed(cost)
    assert bool(reason) == bool(explain_speed(cost))


@pytest.mark.slow
def test_masks_are_counted_as_the_zeros_that_they_leave(images: Tensor) -> None:
    pruned = copy.deepcopy(network())
    prune.l1_unstructured(pruned[3], "weight", 0.75)
    found = compare(network(), pruned, images, cams="grad-cam", cost=True, quiet=True)
    assert found.cost is not None
    weights = pruned[3].weight.numel()
    assert found.cost.baseline.params == found.cost.pruned.params
    gone = found.cost.baseline.nonzero_params - found.cost.pruned.nonzero_params
    assert gone == round(0.75 * weights)
    assert found.cost.baseline.size_bytes == found.cost.pruned.size_bytes
    assert [each.batch for each in found.cost.times] == [1, len(images)]
    assert all(each.speedup.low <= each.speedup.median for each in found.cost.times)
    assert prune.is_pruned(pruned)
    assert any("mask of zeros" in line for line in list_advice(found, []))
    assert "Why it is not faster" in found.to_html() or found.cost.times[-1].speedup.low > 1.05


class Moody(nn.Module):
    """A network that cannot be traced: what it does depends on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, images: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("no <b>tracing</b>")
        return self.inner(images)


@pytest.mark.slow
def test_a_network_that_cannot_be_counted_is_still_compared(images: Tensor) -> None:
    found = compare(network(), Moody(), images[:4], cams="grad-cam", cost=True, quiet=True)
    assert found.cost is not None
    assert found.cost.pruned.macs is None
    (note,) = found.cost.notes
    assert note.startswith("MACs of the pruned network: not measured (RuntimeError: no <b>")
    assert "no &lt;b&gt;tracing" in found.to_html()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_any_number_of_channels_is_shown(channels: int) -> None:
    torch.manual_seed(0)
    base = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = torch.randn(2, channels, 80, 8)
    found = compare(base, base, images, cams="grad-cam", quiet=True)
    assert found.to_html().count("data:image/jpeg") == 6


@pytest.mark.slow
def test_saving_writes_the_page_beside_the_others(found: Comparison, tmp_path: Path) -> None:
    assert found.save(tmp_path).name == "comparison.md"
    assert (tmp_path / "comparison.html").read_text(encoding="utf-8") == found.to_html()
    assert len(pd.read_csv(tmp_path / "per_image.csv")) == 30
    assert np.isfinite(found.per_image["sp2ps"]).all()


def test_images_with_several_labels_have_a_page_and_a_gate(images: Tensor) -> None:
    labels = torch.rand(30, 4, generator=torch.Generator().manual_seed(2)) > 0.5
    labels[0] = True
    found = compare(network(), network(seed=1), images, labels, "grad-cam", quiet=True)
    assert "share of labels told rightly" in found.to_html()
    assert len(found.check(max_drop=0)) == 1


@pytest.mark.parametrize(
    ("share", "shown"), [(0, "0%"), (0.001, "<1%"), (0.5, "50%"), (0.997, ">99%"), (1, "100%")]
)
def test_a_share_is_all_or_none_only_where_it_is(share: float, shown: str) -> None:
    assert format_share(share) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (999, "999"),
        (11_689_512, "11.7 M"),
        (999_600, "1 M"),
        (1500, "1.5 k"),
    ],
)
def test_counts_have_three_digits(count: int | None, shown: str) -> None:
    assert format_count(count) == shown


def test_a_comparison_shows_itself_in_a_notebook(found: Comparison) -> None:
    assert repr(found) == f"Comparison: {found.answer}"
    shown = found._repr_html_()
    assert shown == render_fragment(found, pictures=3)
    assert "<script" not in shown
