from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prunebench.errors import RequestError
from prunebench.yaml_source import read_yaml


def _read(tmp_path: Path, text: str) -> object:
    (tmp_path / "a.yaml").write_text(text)
    return read_yaml(tmp_path / "a.yaml").data


def test_numbers_are_read_as_people_write_them(tmp_path: Path) -> None:
    assert _read(tmp_path, "[1e-3, 1E5, .5, 5., -2, 007, 0.1]") == [1e-3, 1e5, 0.5, 5.0, -2, 7, 0.1]


def test_yaml_1_2_words_stay_words(tmp_path: Path) -> None:
    assert _read(tmp_path, "[no, on, y, 12:30:00, 1_000]") == ["no", "on", "y", "12:30:00", "1_000"]


def test_quoted_numbers_are_text(tmp_path: Path) -> None:
    assert _read(tmp_path, "['1', \"true\", true, null]") == ["1", "true", True, None]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("a: !!python/object/apply:os.system ['ls']\n", 1, "not allowed"),
        ("a: 1\nb: [1, 2\n", 3, "not YAML"),
        ("a: 1\n? [x]\n: 2\n", 2, "must be a word"),
        ("a:\n  b: ${NOT_SET_ANYWHERE}\n", 2, "not set"),
        ("a: &x [*x]\n", 1, "refers to itself"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        _read(tmp_path, text)
    assert caught.value.where == f"{tmp_path / 'a.yaml'}:{line}"


def test_aliases_of_aliases_end(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 9)]
    with pytest.raises(RequestError, match="too large"):
        _read(tmp_path, "\n".join(lines))


def test_variables_are_expanded_but_kept_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_DATA", "/data")
    (tmp_path / "a.yaml").write_text("path: ${SOME_DATA}/cifar\n")
    source = read_yaml(tmp_path / "a.yaml")
    assert source.data == {"path": "/data/cifar"}
    assert source.raw == {"path": "${SOME_DATA}/cifar"}


plain = st.recursive(
    st.integers(-(10**6), 10**6) | st.booleans() | st.none() | st.floats(-1e6, 1e6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcdef", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(plain)
def test_plain_data_survives_a_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: object
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    path.write_text(yaml.safe_dump(data))
    assert read_yaml(path).data == data
