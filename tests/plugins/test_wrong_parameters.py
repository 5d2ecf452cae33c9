"""Wrong parameters are answered with the options of the level that they stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from prunebench.errors import RequestError
from prunebench.plugins import choose
from prunebench.plugins.wrong_parameters import make_request_error
from prunebench.suite import load_suite


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    temperature: float = 1.0
    kind: Literal["sgd", "adam"] = "sgd"
    steps: int = 1


class Other(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    epochs: int = 1
    inner: Inner = Inner()
    perhaps: Inner | None = None
    marked: Annotated[Inner | None, Field(description="marked")] = None
    several: list[Inner] = []
    optional: tuple[Annotated[Inner, Field()], ...] | None = None
    pair: tuple[int, Inner] | None = None
    named: dict[str, Inner] = {}
    either: Inner | Other | str = ""
    layers: str | dict[str, int] = ""
    deep: dict[str, list[Inner | None]] = {}


def refuse(**values: Any) -> RequestError:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    return make_request_error(caught.value, "outer", Outer)


WRONG = {"temprature": 4}
NESTED: list[tuple[dict[str, Any], tuple[str | int, ...]]] = [
    ({"inner": WRONG}, ("inner",)),
    ({"perhaps": WRONG}, ("perhaps",)),
    ({"marked": WRONG}, ("marked",)),
    ({"several": [{}, WRONG]}, ("several", 1)),
    ({"optional": [WRONG]}, ("optional", 0)),
    ({"pair": [1, WRONG]}, ("pair", 1)),
    ({"named": {"a": WRONG}}, ("named", "a")),
    ({"either": WRONG}, ("either",)),
    ({"deep": {"a": [None, WRONG]}}, ("deep", "a", 1)),
]


@pytest.mark.parametrize(("values", "level"), NESTED)
def test_an_unknown_name_is_answered_with_the_nearest_of_its_level(
    values: dict[str, Any], level: tuple[str | int, ...]
) -> None:
    error = refuse(**values)
    assert error.message == ("outer: unknown parameter 'temprature'; did you mean 'temperature'?")
    assert error.location == (*level, "temprature")


def test_a_name_unlike_all_is_answered_with_all_of_its_level() -> None:
    message = "outer: unknown parameter 'x'; there is: "
    assert refuse(perhaps={"x": 1}).message == message + "kind, steps, temperature"
    assert refuse(x=1).message.startswith(message + "deep, either, epochs, inner")


@pytest.mark.parametrize(("values", "level"), NESTED)
def test_a_wrong_value_is_named_as_a_user_writes_it(
    values: dict[str, Any], level: tuple[str | int, ...]
) -> None:
    def put(value: Any) -> Any:
        if value == WRONG:
            return {"steps": "many"}
        if isinstance(value, dict):
            return {name: put(each) for name, each in value.items()}
        return [put(each) for each in value] if isinstance(value, list) else value

    error = refuse(**put(values))
    assert error.location == (*level, "steps")
    name = ".".join(map(str, error.location))
    assert error.message.startswith(f"outer: parameter {name!r}: Input should be a valid integer")
    assert error.message.endswith("found 'many'")


def test_the_nearest_of_several_words_is_offered() -> None:
    assert refuse(perhaps={"kind": "adm"}).message == (
        "outer: parameter 'perhaps.kind': Input should be 'sgd' or 'adam', found 'adm'; "
        "did you mean 'adam'?"
    )
    assert refuse(perhaps={"kind": 7}).message.endswith("found 7")


def test_the_member_of_a_union_that_was_meant_is_the_one_answered() -> None:
    error = refuse(layers={"resnet": "first"})
    assert error.location == ("layers", "resnet")
    assert error.message.startswith("outer: parameter 'layers.resnet': Input should be a valid int")
    assert refuse(layers=3).location == ("layers",)
    assert refuse(either={"width": "wide"}).location == ("either", "width")


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "message"),
    [
        (
            "models",
            "digits-cnn",
            {"training": {"momentun": 0}},
            "model 'digits-cnn': unknown parameter 'momentun'; did you mean 'momentum'?",
        ),
        (
            "models",
            "digits-cnn",
            {"training": {"distillation": {"alfa": 0.5}}},
            "model 'digits-cnn': unknown parameter 'alfa'; did you mean 'alpha'?",
        ),
        (
            "pruners",
            "isp",
            {"gates": {"epoch": 4}},
            "pruner 'isp': unknown parameter 'epoch'; did you mean 'epochs'?",
        ),
        (
            "pruners",
            "isp",
            {"gates": {"optimizer": "admaw"}},
            "pruner 'isp': parameter 'gates.optimizer': Input should be 'sgd', 'adam' or 'adamw', "
            "found 'admaw'; did you mean 'adamw'?",
        ),
    ],
)
def test_built_in_plugins_answer_so(
    kind: str, name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError) as caught:
        choose(kind, name, parameters)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "recovery: {epochs: 1, distillation: {temprature: 4}}",
            "recovery: unknown parameter 'temprature'; did you mean 'temperature'?",
        ),
        (
            "recovery:\n  - {epochs: 1}\n  - {distillation: {alpha: 2}}",
            "recovery: parameter 'distillation.alpha': Input should be less than or equal to 1, "
            "found 2",
        ),
        ("explain: {clases: own}", "explain: unknown parameter 'clases'; did you mean 'classes'?"),
        (
            "explain: {classes: ownn}",
            "explain: parameter 'classes': Input should be 'baseline', 'label' or 'own', "
            "found 'ownn'; did you mean 'own'?",
        ),
        (
            "explain: {target_layer: {digits-cnn: 4}}",
            "explain: parameter 'target_layer.digits-cnn': Input should be a valid string, found 4",
        ),
    ],
)
def test_a_suite_answers_so_with_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "suite.yaml"
    text = "dataset: digits\nmodel: digits-cnn\npruner: none\nmetric: accuracy\n"
    path.write_text(text + line)
    last = 4 + len(line.splitlines())
    with pytest.raises(RequestError) as caught:
        load_suite(path)
    assert str(caught.value) == f"{path}:{last}: {message}"
