from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prunebench.leaderboard.site.names import shorten_names

ISP = "isp(budget=100.0, {}gates={{epochs: 8, lr: 0.1}}, interpretation=1.0, {}size=1.5)"


def shown(*labels: str) -> list[str]:
    names = shorten_names(labels)
    return [names[label] for label in labels]


def test_only_unusual_parameters_are_told() -> None:
    isp = [ISP.format(*more) for more in (("", ""), ("classification=0.0, ", ""))]
    isp += [ISP.format("", "masks=independent, "), "isp(budget=100.0, interpretation=0.0)"]
    assert shown(*isp, "fpgm(target=macs)") == [
        "isp",
        "isp(classification=0.0)",
        "isp(masks=independent)",
        "isp(interpretation=0.0)",
        "fpgm",
    ]


def test_a_default_is_left_unsaid_where_labels_are_divided() -> None:
    assert shown("l1(scope=layerwise, target=macs)", "l1(target=macs)") == [
        "l1(scope=layerwise)",
        "l1",
    ]
    assert shown("l1(a=1)", "l1(a=2)") == ["l1(a=1)", "l1(a=2)"]


def test_what_is_told_apart_only_by_what_it_lacks_is_told_in_full() -> None:
    assert shown("p(a=1, c=0)", "p(a=1, b=2, c=0)", "p(b=2, c=0)", "p(a=1, b=2, c=0, d=3)") == [
        "p(a=1)",
        "p(a=1, b=2)",
        "p(b=2)",
        "p(d=3)",
    ]


def test_nested_parameters_are_one() -> None:
    assert shown("it(pruner={name: a, of: (1, 2)}, b=1)", "it(pruner={name: a, of: (1, 2)})") == [
        "it(b=1)",
        "it",
    ]


def test_cut_names_stay_apart() -> None:
    long = [f"p(a={'x' * 90}{end})" for end in "yz"]
    first, second = shown(*long)
    assert first != second
    assert max(len(first), len(second)) <= 64


LABELS = st.text(alphabet="ab(){}[],= …#2", max_size=12)


@given(st.sets(LABELS, max_size=8))
def test_any_text_has_a_name(labels: set[str]) -> None:
    names = shorten_names(labels)
    assert names.keys() == labels
    assert len(set(names.values())) == len(labels)
    assert names == shorten_names(sorted(labels))
