"""Two networks and images in, one page out."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from prunebench.cams.explaining import explain
from prunebench.comparison import Comparison
from prunebench.comparison.compare import compare
from prunebench.errors import RequestError
from prunebench.metrics import maps as metrics

METHODS = ["grad-cam", "grad-cam++", "ablation-cam"]


def network(channels: int = 8, classes: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(inplace=True)),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * 36, classes),
    )


def dead(classes: int = 4) -> nn.Module:
    """A network whose features are all zero: it answers, but looks at nothing."""
    module = network(classes=classes)
    with torch.no_grad():
        module[0][0].weight.zero_()
        module[0][0].bias.fill_(-1)
    return module


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(30, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels(images: Tensor) -> Tensor:
    """Labels that the baseline tells rightly on two images of three."""
    with torch.no_grad():
        found = network().eval()(images).argmax(1)
    found[::3] = (found[::3] + torch.arange(10)) % 4
    return found


@pytest.fixture(scope="module")
def found(images: Tensor, labels: Tensor) -> Comparison:
    return compare(network(), network(seed=1), images, labels)


def test_a_network_against_itself_is_preserved(images: Tensor, labels: Tensor) -> None:
    found = compare(network(), network(), images, labels)
    means = found.scores[["ssim", "sam", "sp2ps", "iou", "soft_iou", "pe_score"]]
    np.testing.assert_allclose(means.astype(float), 1, atol=1e-9)
    assert found.agreement == 1
    assert found.accuracy.drop.mean == 0
    assert set(found.per_image["change"]) == {"kept"}
    assert found.scores["trusted"].tolist() == [True, None, True]
    assert found.verdict.startswith("Trusted")


def test_one_row_an_image_and_method(found: Comparison, images: Tensor) -> None:
    assert list(found.scores.index) == METHODS
    assert len(found.per_image) == 30 * 3
    for cam in METHODS:
        rows = found.per_image[found.per_image["cam"] == cam]
        assert rows["image"].tolist() == list(range(30))
        assert rows["sp2ps"].mean() == pytest.approx(found.scores.loc[cam, "sp2ps"])
        low, high = found.scores.loc[cam, ["sp2ps_low", "sp2ps_high"]]
        assert low < found.scores.loc[cam, "sp2ps"] < high
    assert found.agreement == (found.per_image["change"] == "kept").mean()
    assert found.images == 30


def test_numbers_are_those_of_the_metrics_on_the_explained_maps(
    found: Comparison, images: Tensor
) -> None:
    base, pruned = network().eval(), network(seed=1).eval()
    with torch.no_grad():
        first, second = base(images), pruned(images)
    classes = first.argmax(1)
    confidences = [x.softmax(1)[range(30), classes] for x in (first, second)]
    for cam in METHODS:
        a, b = (explain(m, images, cam, "0", classes)[cam] for m in (base, pruned))
        rows = found.per_image[found.per_image["cam"] == cam]
        assert rows["class"].tolist() == classes.tolist()
        assert rows["prediction_pruned"].tolist() == second.argmax(1).tolist()
        for name in ("ssim", "sam", "sp2ps", "soft_iou"):
            expected = getattr(metrics, name)(a, b)
            np.testing.assert_allclose(rows[name], expected, atol=1e-5)
        expected = metrics.pe_score(a, b, *confidences)
        np.testing.assert_allclose(rows["pe_score"], expected, atol=0.02)


def test_another_random_network_is_not_trusted(found: Comparison) -> None:
    assert found.scores["trusted"].tolist() == [False, None, False]
    assert found.verdict.startswith("Not trusted")
    assert "lower bound" in found.verdict
    assert "no threshold was published" in found.verdict


def test_accuracy_counts_right_predictions(found: Comparison, labels: Tensor) -> None:
    rows = found.per_image[found.per_image["cam"] == "grad-cam"]
    for name in ("baseline", "pruned"):
        right = (rows[f"prediction_{name}"].to_numpy() == labels.numpy()).mean()
        assert getattr(found.accuracy, name) == pytest.approx(right)
    drop = found.accuracy.baseline - found.accuracy.pruned
    assert found.accuracy.drop.mean == pytest.approx(drop)


def test_networks_that_see_nothing_get_no_verdict(images: Tensor) -> None:
    found = compare(dead(), dead(), images, cams=["grad-cam", "ablation-cam"])
    assert found.scores["undefined"].tolist() == [30, 30]
    assert found.scores["sp2ps"].isna().all()
    assert found.scores["trusted"].tolist() == [None, None]
    assert found.verdict.startswith("No verdict. grad-cam: 30 of 30 images have no map")
    assert "nan" not in found.to_markdown()
    assert found.figure().get_axes() == []


def test_network_that_stopped_looking_is_not_trusted(images: Tensor) -> None:
    found = compare(network(), dead(), images, class_policy="baseline")
    assert (found.scores["zero_map_fraction_pruned"] == 1).all()
    assert found.scores["sp2ps"].max() == 0
    assert found.scores.loc["grad-cam", "trusted"] is not True


def test_class_policies_explain_what_they_say(images: Tensor, labels: Tensor) -> None:
    base, pruned = network().eval(), network(seed=1).eval()
    with torch.no_grad():
        own = [module(images).argmax(1) for module in (base, pruned)]
    by_label = compare(base, pruned, images, labels, "grad-cam", class_policy="label")
    assert by_label.per_image["class"].tolist() == labels.tolist()
    by_own = compare(base, pruned, images, None, "grad-cam", class_policy="own")
    a, b = (
        explain(module, images, "grad-cam", "0", classes)["grad-cam"]
        for module, classes in zip((base, pruned), own, strict=True)
    )
    np.testing.assert_allclose(by_own.per_image["sp2ps"], metrics.sp2ps(a, b), atol=1e-5)
    assert by_own.accuracy is None
    with pytest.raises(RequestError, match="labels are needed"):
        compare(base, pruned, images, class_policy="label")
    with pytest.raises(RequestError, match="did you mean 'own'"):
        compare(base, pruned, images, class_policy="owns")  # type: ignore[arg-type]


class Named(nn.Module):
    """Another architecture, with other names."""

    def __init__(self) -> None:
        super().__init__()
        self.features = network(5)[0]
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))


def test_architectures_may_differ(images: Tensor) -> None:
    found = compare(network(), Named(), images, cams="grad-cam")
    assert found.layers == ("0", "features")
    named = compare(network(), Named(), images, cams="grad-cam", target_layer=("0", "features.1"))
    pd.testing.assert_frame_equal(found.scores, named.scores)
    assert "`features.1` (pruned)" in named.to_markdown()
    with pytest.raises(RequestError, match="pruned network: Named has no layer '0'"):
        compare(network(), Named(), images, target_layer="0")


def test_requests_that_make_no_sense_are_refused(images: Tensor, labels: Tensor) -> None:
    base = network()
    broken = network()
    with torch.no_grad():
        broken[3].weight.fill_(float("nan"))
    for arguments, options, message in [
        ((base, network(classes=5), images), {}, "tells 4 classes apart and the pruned network 5"),
        ((base, base, images[:, :, :10, :10]), {}, "baseline network: cannot take images of 3×10"),
        ((base, broken, images), {}, "pruned network: gives logits that are not finite"),
        ((base, base[0], images), {}, "expected logits"),
        ((base, base, images, labels[:3]), {}, "one for each of 30 images"),
        ((base, base, images, labels + 1), {}, "label 4 does not exist"),
        ((base, base, images[0]), {}, "expected N×C×H×W"),
        ((base, base, images), {"names": ["a"]}, "1 names for 30 images"),
        ((base, base, images), {"target_layer": ("0", "0", "0")}, "3 target layers"),
        ((base, base, images), {"cams": ["gradcam"]}, "did you mean 'grad-cam'"),
        ((base, base, images), {"target_layer": "3"}, "baseline network: the output of layer '3'"),
    ]:
        with pytest.raises(RequestError, match=message):
            compare(*arguments, **options)


def test_networks_are_left_as_they_were_found(images: Tensor) -> None:
    base, pruned = network().train(), network(seed=1).eval()
    state = copy.deepcopy(base.state_dict())
    compare(base, pruned, images, cams="grad-cam")
    assert base.training
    assert not pruned.training
    assert all(torch.equal(state[name], value) for name, value in base.state_dict().items())
    assert not any(layer._forward_hooks for layer in base.modules())


@pytest.mark.slow
def test_figure_shows_the_images_whose_attention_moved_most(found: Comparison) -> None:
    moved = found.per_image.groupby("image")["sp2ps"].mean().sort_values()
    assert [picture.title for picture in found.pictures] == [f"#{i}" for i in moved.index[:10]]
    titles = [axis.get_title() for axis in found.figure().get_axes()]
    assert titles[0].startswith(f"#{moved.index[0]}\n")


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_page_is_saved_whole(tmp_path: Path, channels: int) -> None:
    torch.manual_seed(0)
    base = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pruned = copy.deepcopy(base)
    with torch.no_grad():
        pruned[0].weight[0].zero_()
    images, names = torch.randn(3, channels, 8, 8), ["a.png", "a|b.png", "c" * 60 + ".png"]
    found = compare(base, pruned, images, torch.tensor([0, 1, 2]), "grad-cam", names=names)
    page = found.save(tmp_path / "new" / "folder")
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "comparison.html",
        "comparison.md",
        "comparison.png",
        "per_image.csv",
    ]
    text = page.read_text(encoding="utf-8")
    for wanted in (found.verdict.split(":")[0].split(".")[0], "grad-cam", "](comparison.png)"):
        assert wanted in text
    with Image.open(page.parent / "comparison.png") as picture:
        assert min(picture.size) > 100
    table = pd.read_csv(page.parent / "per_image.csv")
    assert table["name"].tolist() == names
    np.testing.assert_allclose(table["sp2ps"], found.per_image["sp2ps"])
