"""Suites of a Python program: the words of YAML, and objects among them."""

from __future__ import annotations

import functools
import importlib
import logging
import random
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, RandomSampler, SubsetRandomSampler, TensorDataset

import prunebench as pb
from prunebench.errors import RequestError
from prunebench.plan.environment import Environment
from prunebench.plan.keys import Identities
from prunebench.plan.plan import plan_trials
from prunebench.plugins import choose
from prunebench.pruners import Context, Pruner
from prunebench.pruners.filters.magnitude import L1Filter
from prunebench.record.checking import check_record
from prunebench.store.digests import Digests
from prunebench.suite import Suite, load_suite
from prunebench.suite.objects.content import digest
from prunebench.suite.objects.images import read_splits
from prunebench.suite.objects.networks import GivenModule, renew_weights
from prunebench.suite.objects.own_code import NoContent

LABELS = torch.arange(40) % 2
IMAGES = (torch.arange(40 * 256) % 251).to(torch.uint8).view(40, 1, 16, 16)
FACTOR = 1.0


class Net(nn.Module):
    def __init__(self, classes: int = 2, channels: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.last = nn.Linear(4, classes)
        self.slope = 1.0

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.first(images)) * self.slope
        return self.last(maps.mean((2, 3)))  # type: ignore[no-any-return]


def cut(network: nn.Module, level: float, context: Context) -> nn.Module:
    """Mask the weights nearest to zero."""
    for layer in (network.first, network.last):
        prune.l1_unstructured(layer, "weight", level * FACTOR)  # type: ignore[no-untyped-call]
    return network


class Half(Pruner):
    """Makes weights smaller by a factor, whatever the level."""

    levels: ClassVar[Literal["continuous", "rounds", "none"]] = "none"

    factor: float = 2.0

    def compress(self, network: nn.Module, level: float, context: Context) -> nn.Module:
        with torch.no_grad():
            for weight in network.parameters():
                weight.div_(self.factor)
        return network


def words(**changed: Any) -> dict[str, Any]:
    return {
        "name": "objects",
        "dataset": (IMAGES, LABELS),
        "model": Net(),
        "pruners": ["l1-unstructured"],
        "levels": [0.5],
        "metrics": ["accuracy", "params"],
        **changed,
    }


def test_plain_words_make_the_suite_that_yaml_makes(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(
        "name: my\ndataset: digits\nmodel: {digits-cnn: {training: {epochs: 2}}}\n"
        "pruners: [{l1-filter: {target: macs}}]\nlevels: [0.5]\ncams: [grad-cam]\n"
        "metrics: [sp2ps]\nseeds: [0, 1]\nexplain: {images: 20}\n"
    )
    read = load_suite(tmp_path / "my.yaml")
    made = Suite.of(
        name="my",
        dataset="digits",
        model={"digits-cnn": {"training": {"epochs": np.int64(2)}}},
        pruners=[L1Filter(target="macs")],
        levels=(0.5,),
        cams=["grad-cam"],
        metrics=["sp2ps"],
        seeds=[0, 1],
        explain={"images": 20},
    )
    assert made == read


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prunners": []}, r"suite\['prunners'\]: unknown key 'prunners'; did you mean 'pruners'"),
        ({"levels": [1.5]}, r"suite\['levels'\]\[0\]: level 1.5 is outside"),
        ({"pruners": ["l1-unstructurd"]}, r"suite\['pruners'\]\[0\].*did you mean"),
        ({"pruners": [object()]}, r"suite\['pruners'\]\[0\]: a object is no pruner; expected"),
        ({"model": nn.Conv2d}, "'in_channels' is not known"),
        ({"levels": [torch.zeros(2)]}, r"suite\['levels'\]\[0\]: is a Tensor; expected what YAML"),
        ({"dataset": (IMAGES.float(), LABELS)}, r"suite\['dataset'\].*values from 0 to 250"),
        ({"dataset": (IMAGES, LABELS[:3])}, "expected one for each of 40 images"),
        ({"dataset": {"test": (IMAGES, LABELS)}}, "'train' is missing"),
        ({"pruners": [lambda network, level, context: network]}, "no name"),
        ({"dataset": {pb.named("x", (IMAGES, LABELS)): {"means": 1}}}, "did you mean 'mean'"),
    ],
)
def test_what_is_wrong_is_refused_by_its_key(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        Suite.of(words(**changed))


def test_images_are_read_whatever_holds_them() -> None:
    pictures = [
        (Image.fromarray(image[0].numpy()), int(k)) for image, k in zip(IMAGES, LABELS, strict=True)
    ]

    class Pictures(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(pictures)

        def __getitem__(self, index: int) -> Any:
            return pictures[index]

    in_unit = TensorDataset(IMAGES.float() / 255, LABELS)
    forms = [
        (IMAGES, LABELS),
        (IMAGES.numpy(), LABELS.numpy()),
        in_unit,
        Pictures(),
        DataLoader(in_unit, batch_size=16),
        DataLoader(in_unit, batch_size=16, shuffle=True),
    ]
    for form in forms:
        images, labels = read_splits(form)["train"]
        assert torch.equal(images, IMAGES)
        assert torch.equal(labels, LABELS)


def test_a_loader_is_read_in_order_with_its_collate_fn() -> None:
    def invert(items: list[Any]) -> Any:
        images, labels = zip(*items, strict=True)
        return 255 - torch.stack(images), torch.stack(labels) + 1

    given = TensorDataset(IMAGES, LABELS)
    for shuffle in (False, True):
        loader = DataLoader(given, 16, shuffle=shuffle, collate_fn=invert)
        images, labels = read_splits(loader)["train"]
        assert torch.equal(images, 255 - IMAGES)
        assert torch.equal(labels, LABELS + 1)
    for sampler in (RandomSampler(given, num_samples=3), SubsetRandomSampler(range(20))):
        with pytest.raises(RequestError, match="sampler draws other images each time"):
            read_splits(DataLoader(given, 16, sampler=sampler))
    assert len(read_splits(DataLoader(given, batch_size=None))["train"][1]) == 40


def test_splits_are_cut_where_they_are_not_given() -> None:
    suite = Suite.of(words())
    data = suite.datasets[0].plugin.load()
    assert [len(data.train), len(data.validation), len(data.test)] == [29, 3, 8]
    assert data.normalisation.mean == (0.0,)
    pair = (IMAGES[:20], LABELS[:20])
    given = Suite.of(words(dataset={"train": pair, "validation": pair, "test": pair}))
    assert len(given.datasets[0].plugin.load().train) == 20


def test_classes_may_be_more_than_there_are_labels() -> None:
    def load(classes: Any) -> Any:
        suite = Suite.of(words(dataset={pb.named("x", (IMAGES, LABELS)): {"classes": classes}}))
        return suite.datasets[0].plugin.load()

    assert load(["cat", "dog"]).class_names == ("cat", "dog")
    assert load(3).class_names == ("0", "1", "2")
    with pytest.raises(RequestError, match="expected 2 at least"):
        load(["cat"])


def test_a_module_is_the_same_baseline_under_every_seed() -> None:
    suite = Suite.of(words(seeds=[0, 1]))
    trials = list(plan_trials(Identities(suite, Environment(), Digests())))
    assert len({trial.setting.baseline.key for trial in trials}) == 1
    built = Suite.of(words(model={Net: {"training": {"epochs": 1}}}, seeds=[0, 1]))
    trials = list(plan_trials(Identities(built, Environment(), Digests())))
    assert len({trial.setting.baseline.key for trial in trials}) == 2


def make_adder(amount: int) -> Any:
    def add(number: int) -> int:
        return number + amount

    return add


def run_text(text: str) -> Any:
    return eval(text)


def multiply(amount: int) -> Any:
    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def wrapped(number: int) -> Any:
            return function(number) * amount

        return wrapped

    return decorate


def count(number: int) -> int:
    return number


def make_class(amount: int) -> Any:
    class Scaled(nn.Module):
        factor = amount

    return Scaled


class Items(list[int]):
    pass


def test_content_is_also_of_what_is_not_in_the_text() -> None:
    assert digest(make_class(2)) == digest(make_class(2)) != digest(make_class(3))
    assert digest(make_class(2)()) != digest(make_class(3)())
    later = make_class(2)
    later.factor = 9
    assert digest(later) != digest(make_class(2))
    assert digest(multiply(2)(count)) != digest(multiply(3)(count)) != digest(count)
    assert digest(torch.no_grad()(count)) != digest(torch.no_grad()(make_adder))
    assert digest(torch.ones(3).mul) != digest(torch.zeros(3).mul)
    assert digest(random.Random(1)) == digest(random.Random(1)) != digest(random.Random(2))
    items, others = Items([1]), Items([1])
    others.factor = 2  # type: ignore[attr-defined]
    assert digest(items) != digest(others)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    texts = {
        "own_deep": "FACTOR = 1.0\nclass Kept:\n    value = 1\nkept = Kept()\n",
        "own_middle": "import own_deep\ndef shrink(n):\n    return n * own_deep.FACTOR\n",
        "own_top": "import own_middle\ndef cut(n):\n    return own_middle.shrink(n)\n",
        "own_late": "def cut(n):\n    import own_middle as m\n    return m.shrink(n)\n",
        "own_loop": "import own_again\ndef cut(n):\n    return own_again.cut(n)\n",
        "own_again": "import own_loop\ndef cut(n):\n    return own_loop.cut(n)\n",
        "own_lost": "def cut(n):\n    import nowhere_at_all\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield {name: importlib.import_module(name) for name in texts}
    for name in texts:
        sys.modules.pop(name)


def test_content_follows_own_modules_to_those_that_they_import(modules: Any) -> None:
    deep, used = modules["own_deep"], [modules[f"own_{name}"].cut for name in ("top", "late")]
    found = [digest(each) for each in used]
    assert found == [digest(each) for each in used]
    deep.FACTOR = 0.0
    changed = [digest(each) for each in used]
    deep.kept.value = 5
    again = [digest(each) for each in used]
    assert len({*found, *changed, *again}) == 6
    digest(modules["own_loop"].cut)
    with pytest.raises(NoContent, match="'nowhere_at_all', which is not found"):
        digest(modules["own_lost"].cut)
    file = Path(modules["own_top"].__file__)
    file.write_text(file.read_text() + "\n\ndef cut(n):\n    return n\n")
    digest(modules["own_top"].cut)  # it is still there
    file.write_text("def cut(n):\n    return 2 * n\n")
    with pytest.raises(NoContent, match="'cut', whose file has changed since"):
        digest(modules["own_top"].cut)


def test_content_changes_with_what_an_object_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = Net()
    other = Net()
    other.load_state_dict(network.state_dict())
    found = {digest(network)}
    assert digest(other) in found
    other.slope = 2.0
    found.add(digest(other))
    other.first.stride = (2, 2)
    found.add(digest(other))
    with torch.no_grad():
        other.last.bias[0] += 1
    found.add(digest(other))
    assert len(found) == 4
    before = digest(cut)
    monkeypatch.setattr("test_objects.FACTOR", 0.5)
    assert digest(cut) != before
    assert digest(make_adder(1)) == digest(make_adder(1)) != digest(make_adder(2))
    assert digest(functools.partial(cut, level=1)) != digest(cut)
    assert digest((1, 2)) != digest((1, 2.0)) != digest([1, 2.0])
    assert digest(torch.zeros(2, 3)) != digest(torch.zeros(3, 2))
    for unreadable in (lambda: 0, iter([]), {"file": threading.Lock()}, run_text):
        with pytest.raises(NoContent):
            digest(unreadable)


def test_random_weights_hold_nothing_of_what_was_learnt() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
            self.shift = nn.Parameter(torch.arange(6.0))

    module = Shifted()
    with torch.no_grad():
        for weight in module.layers.parameters():
            weight.fill_(7)
        module.layers[1].running_mean.fill_(7)
    torch.manual_seed(0)
    renew_weights(module)
    assert not any((weight == 7).any() for weight in module.layers.state_dict().values())
    assert sorted(module.shift.tolist()) == list(range(6)) != module.shift.tolist()


def test_a_suite_of_objects_runs_once_and_says_what_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Net().train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    suite = words(model=network, pruners=[cut, Half(factor=4.0)], cams=["grad-cam"])
    suite |= {"metrics": ["accuracy", "sp2ps"], "explain": {"images": 8}}
    first = pb.run(suite, tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert not first.failed
    made = {record.pruner_name: record for record in first.records}
    assert made.keys() == {
        "baseline",
        "random-weights",
        "none",
        "python/cut",
        "python/Half",
    }
    assert made["none"].values["sp2ps/grad-cam"].mean == pytest.approx(1)
    assert (made["random-weights"].values["sp2ps/grad-cam"].mean or 0) < 0.99
    for record in first.records:
        assert "holds objects of a Python program" in record.flags[0]
        assert not check_record(record)
    assert network.training
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
    journal = (tmp_path / "store" / "journal.jsonl").read_text()
    again = pb.run(suite, tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert (tmp_path / "store" / "journal.jsonl").read_text() == journal
    assert again.records == first.records


@pytest.mark.slow
def test_a_function_that_builds_is_trained_as_the_suite_says(tmp_path: Path) -> None:
    suite = words(model={Net: {"training": {"epochs": 1, "images": 20}}})
    found = pb.run(suite, tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    assert not found.failed
    assert found.records[0].training is not None
    assert found.records[0].training.epochs == 1
    with pytest.raises(RequestError, match="not known how this network is trained"):
        pb.run(words(model=Net), tmp_path / "store", tracking_uri="", device="cpu", quiet=True)


def test_an_object_is_found_in_its_own_program_alone(tmp_path: Path) -> None:
    suite = Suite.of(words())
    name, content = suite.models[0].name, suite.models[0].plugin.content
    assert issubclass(type(choose("models", name, {"content": content}).plugin), GivenModule)
    with pytest.raises(RequestError, match="has changed since"):
        choose("models", name, {"content": "0" * 16})
    with pytest.raises(RequestError, match="only the program that gave it"):
        choose("models", "python/Unheard", {"content": content})
    with pytest.raises(RequestError, match="other processes do not have"):
        pb.run(suite, tmp_path / "store", tracking_uri="", jobs=2)


def test_what_is_known_by_its_name_alone_cannot_be_published(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Noisy(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            image, label = super().__getitem__(index)
            return torch.rand(image.shape), label

    noisy = Noisy(IMAGES, LABELS)
    with pytest.raises(RequestError, match="gives other images each time"):
        Suite.of(words(dataset=noisy))
    with caplog.at_level(logging.WARNING, "prunebench"):
        suite = Suite.of(words(dataset=pb.named("noisy", noisy)))
    assert "'python/noisy' is known by its name alone" in caplog.text
    found = pb.run(suite, tmp_path / "store", tracking_uri="", device="cpu", quiet=True)
    (problem,) = check_record(found.records[0])
    assert "python/noisy" in problem.wrong
