"""What records hold of each image: a byte an image, and nothing that unpacks to more."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import pytest
from publishable import publishable, publishable_baseline

from prunebench.errors import RequestError
from prunebench.record import PerImage, Record, Value
from prunebench.record.checking import check_record
from prunebench.record.per_image import MOST_IMAGES, pack_classes, pack_sp2ps

IMAGES = 500  # explained in the records made up here


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def of_images(images: int = 4, **fields: Any) -> PerImage:
    return PerImage(images=images, **fields)


def problems(record: Record, *others: Record) -> list[str]:
    return [str(problem) for problem in check_record(record, others)]


@pytest.mark.parametrize("count", [10, 256, 257, 1_000])
def test_classes_are_read_as_they_were(count: int) -> None:
    classes = [0, 7, count - 1, 3]
    kept = of_images(predicted=pack_classes(classes, count))
    found = kept.read_predicted()
    assert found is not None
    assert found.tolist() == classes
    assert kept.read_labels() is None


def test_fractions_are_read_to_half_a_step_and_what_is_undefined_as_that() -> None:
    values = [0.0, 1.0, float("nan"), 0.123]
    found = of_images(sp2ps={"grad-cam": pack_sp2ps(values)}).read_sp2ps("grad-cam")
    assert found is not None
    assert found == pytest.approx(values, abs=1 / 508, nan_ok=True)
    assert found[:2].tolist() == [0, 1]
    assert of_images().read_sp2ps("grad-cam") is None


def test_of_very_many_images_the_first_are_kept() -> None:
    values = np.linspace(0, 1, MOST_IMAGES + 500)
    found = of_images(MOST_IMAGES, sp2ps={"x": pack_sp2ps(values)}).read_sp2ps("x")
    assert found is not None
    assert found == pytest.approx(values[:MOST_IMAGES], abs=1 / 508)


def test_five_methods_and_a_thousand_images_take_less_than_12_kilobytes() -> None:
    random = np.random.default_rng(0)
    kept = of_images(
        1_000,
        predicted=pack_classes(random.integers(0, 10, 1_000), 10),
        labels=pack_classes(random.integers(0, 10, 1_000), 10),
        sp2ps={f"method-{k}": pack_sp2ps(random.beta(9, 2, 1_000)) for k in range(5)},
    )
    assert len(kept.model_dump_json()) < 10_000


@pytest.mark.parametrize(
    "text",
    [
        "no base64!",
        base64.b64encode(b"no zlib").decode(),
        packed(b"abc"),
        packed(b"abcde"),
        packed(b""),
        packed(b"abcd")[:-8],
        base64.b64encode(zlib.compress(b"abcd") + b"more").decode(),
        packed(bytes(4_000_000)),  # four thousand bytes that unpack to a thousand times as many
    ],
)
def test_what_is_no_packed_number_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"per_image\.predicted: .*"):
        of_images(predicted=text).read_predicted()


def test_a_fraction_has_one_byte() -> None:
    with pytest.raises(RequestError, match=r"per_image\.sp2ps\.x: has two bytes"):
        of_images(sp2ps={"x": packed(bytes(8))}).read_sp2ps("x")


def filled(**changes: Any) -> Record:
    """A record whose images fit its published Sp2PS of 0.9."""
    fields = {
        "images": IMAGES,
        "predicted": pack_classes([1] * IMAGES, 10),
        "sp2ps": {"grad-cam": pack_sp2ps([0.9] * IMAGES)},
        **changes,
    }
    return publishable(axis="masked", per_image=PerImage(**fields), recalls=(0.9, 0.9))


def test_what_fits_passes() -> None:
    assert problems(filled()) == []


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"sp2ps": {"grad-cam": pack_sp2ps([0.904] * IMAGES)}}, "its mean 0.9"),
        ({"sp2ps": {"grad-cam": pack_sp2ps([0.9] * 499 + [np.nan])}}, "not defined on 1 images"),
        ({"sp2ps": {"cam": pack_sp2ps([0.9] * IMAGES)}}, "no method that sp2ps is published of"),
        ({"sp2ps": {"grad-cam": "AAAA"}}, "sp2ps.grad-cam: cannot be unpacked"),
        ({"predicted": "AAAA"}, "predicted: cannot be unpacked"),
        ({"predicted": pack_classes([2] * IMAGES, 10)}, "class 2, and there are recalls of 2"),
        ({"labels": pack_classes([1] * IMAGES, 10)}, "labels of the compressed"),
    ],
)
def test_what_does_not_fit_is_found(changes: dict[str, Any], wrong: str) -> None:
    (found,) = problems(filled(**changes))
    assert wrong in found


def test_other_images_behind_the_mean_are_not_compared() -> None:
    values = {"sp2ps/grad-cam": Value(mean=0.7, n=100)}
    assert problems(filled().model_copy(update={"values": {**filled().values, **values}})) == []


def test_as_many_images_as_were_explained() -> None:
    record = publishable(axis="masked", per_image=of_images(4))
    assert problems(record) == ["per_image.images: 4 images; expected 500, as were explained"]


def test_recalls_lie_around_the_accuracy() -> None:
    record = publishable(axis="masked", accuracy=0.9, recalls=(0.95, None, 0.91))
    (found,) = problems(record)
    assert "recalls on both sides of the accuracy" in found
    fitting = record.model_copy(update={"recalls": (0.95, None, 0.8)})
    assert problems(fitting) == []


@pytest.mark.parametrize(
    ("recalls", "wrong"),
    [((0.9,), "recalls of 1 classes"), ((None, 0.9), "recalls.0"), ((0.9, 0.9), "recalls.1")],
)
def test_recalls_are_of_the_baseline_s_test_images(recalls: Any, wrong: str) -> None:
    baseline = publishable_baseline(recalls=(0.9, None))
    found, *_ = problems(publishable(axis="masked", recalls=recalls), baseline)
    assert wrong in found


def test_a_failure_is_a_record_without_results() -> None:
    zeros = dict.fromkeys(("weights", "params", "channels", "macs"), 0.0)
    made = publishable(axis="masked")
    none = made.reached.model_copy(update=zeros)
    failed = made.model_copy(update={"values": {}, "reached": none, "failure": "it diverged"})
    assert problems(failed) == []
    assert any(
        "of a network that could not" in problem
        for problem in problems(failed.model_copy(update={"values": made.values}))
    )
    assert any(
        problem.startswith("reached")
        for problem in problems(failed.model_copy(update={"reached": made.reached}))
    )
    assert any(
        problem.startswith("values: there is none")
        for problem in problems(failed.model_copy(update={"failure": None}))
    )
