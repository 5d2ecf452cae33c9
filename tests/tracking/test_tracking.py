"""MLflow as a projection of the store: complete, idempotent, and no condition of a run."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

import prunebench as pb
from prunebench.cli import main
from prunebench.errors import RequestError
from prunebench.leaderboard.writers.pictures import write_pictures
from prunebench.networks.portable import read_exported
from prunebench.record import Record, read_record
from prunebench.tracking import Tracker, default_uri
from prunebench.tracking.names import metrics, run_name
from prunebench.tracking.view import VIEW_TAG, address

Write = Callable[..., Path]
LITTLE = {
    "model": "{toy-cnn: {training: {epochs: 2}}}",
    "pruners": "[{l1-unstructured: {scope: layerwise}}]",
    "levels": "[0.3]",
    "cams": "[grad-cam++]",
    "explain": "{images: 6}",
}


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board's picture takes longer than all else; one test draws it."""
    monkeypatch.setattr("prunebench.leaderboard.writers.pictures.write_pictures", lambda *_: [])


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in them: setting one up takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> Callable[[str], str]:
    """Copies the empty database into a folder of this test and returns its address."""

    def copy(folder: str) -> str:
        (tmp_path / folder).mkdir()
        shutil.copy(empty_database, tmp_path / folder / "mlflow.db")
        return f"sqlite:///{tmp_path / folder / 'mlflow.db'}"

    return copy


@pytest.fixture
def run(toy_suite: Write, tmp_path: Path) -> Callable[..., pb.Results]:
    """Runs the little suite, with lines replaced, in the store of this test."""

    def call(uri: str | None, **lines: str | None) -> pb.Results:
        suite = toy_suite(**{**LITTLE, **lines})
        return pb.run(suite, tmp_path / "store", tracking_uri=uri, device="cpu", quiet=True)

    return call


def logged(uri: str, experiment: str = "toy") -> dict[str, Run]:
    """Runs of an experiment by the record they show."""
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], "tags.`prunebench.record` LIKE '%'")
    records = {run.data.tags["prunebench.record"]: run for run in runs}
    assert len(records) == len(runs)
    return records


def histories(uri: str, run: Run) -> dict[str, list[tuple[int, float]]]:
    client = MlflowClient(uri)
    return {
        name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


def board_run(uri: str, experiment: str = "toy") -> Run:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], "tags.`prunebench.board` LIKE '%'")
    assert len(runs) == 1
    return runs[0]


def everything(uri: str) -> dict[str, Any]:
    """All that a person would see of the experiment, without times and addresses."""
    return {
        name: (run.info.run_name, run.data.params, run.data.tags, histories(uri, run))
        for name, run in logged(uri).items()
    }


@pytest.mark.slow
def test_an_experiment_a_suite_and_a_run_a_network(
    run: Callable[..., pb.Results], database: Callable[[str], str], tmp_path: Path
) -> None:
    uri = database("a")
    results = run(uri)
    assert results.exit_status == 0
    runs = logged(uri)
    assert runs.keys() == {record.id for record in results.records}
    record = results.records[-1]
    ours = runs[record.id]
    assert ours.info.status == "FINISHED"
    assert ours.info.run_name == "l1-unstructured 30% (scope=layerwise) toy-cnn seed 0"
    params = ours.data.params
    assert params["pruner"] == "l1-unstructured"
    assert params["pruner.scope"] == "layerwise"
    assert (params["level"], params["seed"], params["role"]) == ("0.3", "0", "compressed")
    assert (params["recovery.epochs"], params["target_layer"]) == ("1", "4")
    metrics = ours.data.metrics
    assert metrics["accuracy"] == record.mean("accuracy")
    assert metrics["sp2ps/grad-cam-pp"] == record.mean("sp2ps/grad-cam++")
    assert metrics["cost/weights_ratio"] == pytest.approx(1 - record.reached.weights)
    assert metrics["cost/params_ratio"] == 1
    assert metrics["cost/params"] == record.mean("params")
    assert f"{record.mean('sp2ps/grad-cam++'):.3f}" in ours.data.tags["mlflow.note.content"]
    found = histories(uri, ours)
    assert found["curve/recovered_loss"] == [(1, record.curves["recovered"][0].loss)]
    assert [step for step, _ in found["curve/baseline_loss"]] == [1, 2]
    assert [value for _, value in found["curve/baseline_validation_accuracy"]] == [
        point.validation_accuracy for point in record.curves["baseline"]
    ]
    tags = ours.data.tags
    assert tags["complete"] == "true"
    assert tags["prunebench.protocol"] == record.protocol
    assert json.loads(tags["prunebench.keys"]) == record.keys
    assert json.loads(tags["prunebench.provenance"]) == record.provenance
    artefacts = Path(ours.info.artifact_uri.removeprefix("file://"))
    assert tmp_path / "a" in artefacts.parents
    assert read_record(artefacts / "record.json") == record
    pictures = sorted(path.name for path in (artefacts / "overlays").iterdir())
    images = sorted({heat.image for heat in record.heatmaps})
    assert pictures == sorted(f"image-{i}-grad-cam-pp.png" for i in images)
    for picture in pictures:  # the image, the baseline's map and this network's, side by side
        shown = Image.open(io.BytesIO((artefacts / "overlays" / picture).read_bytes()))
        assert (shown.mode, shown.size) == ("RGB", (3 * 192 + 2 * 6, 192))


@pytest.mark.slow
def test_parameters_of_plugins_are_parameters_and_numbers_are_metrics(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("a")
    record = run(uri, cams=None, metrics="[params]").records[-1]
    data = logged(uri)[record.id].data
    assert data.params["model.training.epochs"] == "2"
    assert data.params["pruner.scope"] == "layerwise"
    assert data.params["dataset.path"] == "seed.txt"
    wanted = {"level": 0.3, "seed": 0.0, "model.training.epochs": 2.0, "recovery.lr": 1e-3}
    assert data.metrics.items() >= {f"parameter/{k}": v for k, v in wanted.items()}.items()
    assert "parameter/pruner.scope" not in data.metrics


@pytest.mark.slow
def test_networks_are_logged_where_that_is_asked(
    toy_suite: Write, tmp_path: Path, database: Callable[[str], str]
) -> None:
    suite, uri = toy_suite(**{**LITTLE, "cams": None, "metrics": "[params]"}), database("a")

    def call(**options: Any) -> pb.Results:
        store = tmp_path / "store"
        return pb.run(suite, store, uri, device="cpu", quiet=True, **options)

    record = call().records[-1]
    client = MlflowClient(uri)

    def list_networks() -> set[str]:
        run_id = logged(uri)[record.id].info.run_id
        return {each.path for each in client.list_artifacts(run_id, "model")}

    assert list_networks() == set()
    found = call(log_models=True)  # a run that is complete without is filled
    assert found.tracking_error is None
    assert "model/network.safetensors" in list_networks()
    path = client.download_artifacts(
        logged(uri)[record.id].info.run_id, "model/network.safetensors", str(tmp_path)
    )
    inputs = torch.ones(2, 1, 16, 16)
    read = read_exported(Path(path)).module(inputs)
    assert torch.equal(read, found.network(record).module(inputs))
    before = everything(uri)
    call()
    call(log_models=True)
    assert everything(uri) == before


@pytest.mark.slow
def test_each_term_of_a_loss_is_a_curve(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    gates = "{epochs: 2, images: 30, batch_size: 10}"
    pruner = f"[{{isp: {{interpretation: 0, gates: {gates}}}}}]"
    results = run(uri := database("terms"), pruners=pruner)
    (record,) = [record for record in results.records if record.pruner_name == "isp"]
    found = histories(uri, logged(uri)[record.id])
    for term in ("classification", "budget", "toggled", "macs-removed"):
        told = [(point.epoch, point.terms[term]) for point in record.curves["compressed"]]
        assert found[f"curve/compressed_{term}"] == told


@pytest.mark.slow
def test_logging_twice_changes_nothing(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("a")
    results = run(uri)
    before, ids = everything(uri), {run.info.run_id for run in logged(uri).values()}
    run(uri)
    tracker = Tracker(uri, "toy")
    for record in results.records:
        tracker.log(record)
    assert tracker.error is None
    assert everything(uri) == before
    assert {run.info.run_id for run in logged(uri).values()} == ids


@pytest.mark.slow
def test_a_finished_suite_writes_nothing_to_the_server(
    run: Callable[..., pb.Results], database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = database("a")
    run(uri)
    for method in ("create_run", "log_batch", "log_artifacts", "set_tag", "update_run"):
        monkeypatch.setattr(MlflowClient, method, lambda *_, **__: pytest.fail("logged again"))
    assert run(uri).tracking_error is None


@pytest.mark.slow
def test_what_a_person_deleted_is_there_again_after_the_next_run(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("a")
    assert run(uri).exit_status == 0
    client = MlflowClient(uri)
    found = client.get_experiment_by_name("toy")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    assert run(uri).exit_status == 0
    before = everything(uri)
    one = next(iter(logged(uri).values()))
    files = Path(one.info.artifact_uri.removeprefix("file://"))
    shutil.rmtree(files)
    assert run(uri).exit_status == 0
    assert (files / "record.json").is_file()
    assert everything(uri) == before


@pytest.mark.slow
def test_a_board_is_a_run_of_its_own_rewritten_when_records_change(
    run: Callable[..., pb.Results], database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunebench.leaderboard.writers.pictures.write_pictures", write_pictures)
    uri = database("a")
    records = run(uri).records
    first = board_run(uri)
    assert (first.info.run_name, first.info.status) == ("board", "FINISHED")
    assert first.data.metrics == {}
    assert "prunebench.record" not in first.data.tags
    artefacts = Path(first.info.artifact_uri.removeprefix("file://"))
    assert "l1-unstructured" in (artefacts / "README.md").read_text()
    found = json.loads((artefacts / "board.json").read_text())["sections"]
    told = {name for section in found for row in section["rows"] for name in row["records"]}
    assert told == {record.id for record in records}
    assert (artefacts / "pictures" / "toy.png").is_file()
    run(uri)
    assert board_run(uri).info.end_time == first.info.end_time
    more = run(uri, levels="[0.3, 0.6]").records
    again = board_run(uri)
    assert again.info.run_id == first.info.run_id
    found = json.loads((artefacts / "board.json").read_text())["sections"]
    told = {name for section in found for row in section["rows"] for name in row["records"]}
    assert told == {record.id for record in more} > {record.id for record in records}


@pytest.mark.slow
def test_an_experiment_says_what_it_is_and_opens_on_charts_of_its_metrics(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("a")
    run(uri)
    client = MlflowClient(uri)
    found = client.get_experiment_by_name("toy")
    assert "toy-cnn on toy-images" in found.tags["mlflow.note.content"]
    state = json.loads(found.tags[VIEW_TAG])
    names = {name for ours in logged(uri).values() for name in ours.data.metrics}
    axes = [
        chart[axis]["key"]
        for chart in state["compareRunCharts"]
        for axis in ("xaxis", "yaxis")
        if chart["type"] == "SCATTER"
    ]
    assert axes[:2] == ["accuracy", "sp2ps/grad-cam-pp"]
    assert set(axes) <= names
    assert state["orderByKey"] == "metrics.`sp2ps/grad-cam-pp`"
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections
    key = VIEW_TAG.rpartition(".")[2]
    page = address("http://here:1", found.experiment_id)
    assert page.startswith(f"http://here:1/#/experiments/{found.experiment_id}/runs?")
    assert f"viewStateShareKey={key}" in page


@pytest.mark.slow
def test_a_description_of_a_person_stays(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("a")
    run(uri)
    client, note = MlflowClient(uri), "mlflow.note.content"
    name = client.get_experiment_by_name("toy").experiment_id
    client.set_experiment_tag(name, note, "mine")
    run(uri, levels="[0.3, 0.6]")
    assert client.get_experiment(name).tags[note] == "mine"


@pytest.mark.slow
def test_runs_that_an_older_version_logged_are_filled_again(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("a")
    record = run("").records[-1]
    client = MlflowClient(uri)
    experiment = client.create_experiment("toy")
    tags = {"prunebench.record": record.id, "complete": "true"}
    old = client.create_run(experiment, run_name="l1 0.3", tags=tags).info.run_id
    client.log_metric(old, "params_ratio", 1.0)
    client.set_terminated(old)
    run(uri)
    ours = logged(uri)[record.id]
    assert ours.info.run_id == old
    assert ours.info.run_name == run_name(record)
    assert ours.data.metrics.items() >= metrics(record).items()
    client.update_run(old, name="my favourite")
    run(uri, metrics="[accuracy, params, sp2ps, soft-iou]")
    assert logged(uri)[record.id].info.run_name == "my favourite"


@pytest.mark.slow
def test_a_run_that_two_machines_start_at_once_is_there_once(
    run: Callable[..., pb.Results], database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = database("a")
    records = run("").records
    create = MlflowClient.create_run
    others: set[str] = set()

    def twice(client: MlflowClient, experiment: str, **options: Any) -> Run:
        name = options["run_name"]
        if name not in others:  # the other machine was between our search and our start
            others.add(name)
            create(client, experiment, **options)
        return create(client, experiment, **options)

    monkeypatch.setattr(MlflowClient, "create_run", twice)
    assert run(uri).tracking_error is None
    assert logged(uri).keys() == {record.id for record in records}
    assert len(others) == len(records) + 1  # and the board


@pytest.mark.slow
def test_a_run_that_was_cut_off_is_completed(
    run: Callable[..., pb.Results], database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = database("a")
    draw = lambda *_: (_ for _ in ()).throw(OSError("gone"))  # noqa: E731
    monkeypatch.setattr("prunebench.tracking.tracker._draw", draw)
    results = run(uri)
    assert "OSError: gone" in str(results.tracking_error)
    assert results.exit_status == 1
    (cut,) = logged(uri).values()
    assert "complete" not in cut.data.tags
    monkeypatch.undo()
    # Of its curve, too, only the beginning arrived.
    (record,) = (r for r in results.records if r.id == cut.data.tags["prunebench.record"])
    (stage, curve), *_ = record.curves.items()
    loss = f"curve/{stage}_loss"
    MlflowClient(uri).log_metric(cut.info.run_id, loss, curve[0].loss, 0, curve[0].epoch)
    assert run(uri).exit_status == 0
    runs = logged(uri)
    found = histories(uri, runs[record.id])[loss]
    assert found == [(point.epoch, point.loss) for point in curve]
    assert len(runs) == 4
    assert cut.info.run_id in {run.info.run_id for run in runs.values()}
    assert {run.data.tags["complete"] for run in runs.values()} == {"true"}


@pytest.mark.slow
def test_metrics_and_methods_added_later_are_appended_to_the_same_runs(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("a")
    run(uri)
    before = logged(uri)
    run(uri, metrics="[accuracy, params, sp2ps, soft-iou]", cams="[grad-cam++, toy-cam]")
    after = logged(uri)
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in before.items()
    }
    for name, ours in after.items():
        new = ours.data.metrics.keys() - before[name].data.metrics.keys()
        assert new >= {"soft_iou/grad-cam-pp", "soft_iou/toy-cam", "sp2ps/toy-cam"}
        assert all(len(history) == 1 for key, history in histories(uri, ours).items() if key in new)
        assert len(histories(uri, ours).get("accuracy", [0])) == 1


@pytest.mark.slow
def test_another_database_is_filled_again_from_the_store(
    run: Callable[..., pb.Results],
    database: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = database("a"), database("b")
    run(first)
    monkeypatch.setattr(
        "prunebench.execution.tasks._compute", lambda *args: pytest.fail("computed again")
    )
    run(second)
    assert everything(second) == everything(first)


@pytest.mark.slow
def test_a_missing_value_is_no_metric_but_has_its_reason(
    run: Callable[..., pb.Results], database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = database("a")
    monkeypatch.setenv("TOY_CRASH", "1")
    run(uri, metrics="[params, toy-crash]")
    for ours in logged(uri).values():
        assert not {"toy_crash", "cost/toy_crash"} & ours.data.metrics.keys()
        assert "told to fail" in json.loads(ours.data.tags["prunebench.missing"])["toy_crash"]
    monkeypatch.delenv("TOY_CRASH")
    run(uri, metrics="[params, toy-crash]")
    for ours in logged(uri).values():
        assert ours.data.metrics["cost/toy_crash"] == 1
        assert json.loads(ours.data.tags["prunebench.missing"]) == {}


@pytest.mark.slow
def test_a_dead_server_costs_the_log_and_nothing_else(
    run: Callable[..., pb.Results], database: Callable[[str], str], tmp_path: Path
) -> None:
    results = run("http://somebody:secret@127.0.0.1:9")
    assert str(results.tracking_error).startswith("http://127.0.0.1:9: ")
    assert "secret" not in str(results.tracking_error)
    assert results.exit_status == 1
    assert results.failed == {}
    written = [read_record(path) for path in (tmp_path / "store" / "records").rglob("*.json")]
    assert {record.id for record in written} == {record.id for record in results.records}
    assert len(written) == 4
    uri = database("a")
    assert run(uri).exit_status == 0
    assert len(logged(uri)) == 4


@pytest.mark.slow
def test_by_default_the_database_is_in_the_store(
    toy_suite: Write,
    empty_database: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    shutil.copy(empty_database, store)
    suite = toy_suite(**LITTLE)
    argv = ["prunebench", "run", str(suite), "--store", str(store), "--device", "cpu"]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (0, None)
    assert f"MLflow: {store / 'mlflow.db'}" in capsys.readouterr().out
    assert len(logged(default_uri(store))) == 4
    assert (store / "mlartifacts" / "toy").is_dir()
    # `ui` names the charts of the suite that ran last, not of what else is in the database.
    MlflowClient(default_uri(store)).create_experiment("another")
    started: list[list[str]] = []

    class Server:
        def __init__(self, command: list[str]) -> None:
            started.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr("prunebench.cli.ui.subprocess.Popen", Server)
    monkeypatch.setattr("prunebench.cli.ui.signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["prunebench", "ui", "--store", str(store), "--port", "5999"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    found = MlflowClient(default_uri(store)).get_experiment_by_name("toy").experiment_id
    assert f"toy: {address('http://127.0.0.1:5999', found)}" in capsys.readouterr().out
    assert [default_uri(store), "5999"] == [started[0][-1], started[0][-3]]


@pytest.mark.slow
def test_a_relative_address_is_one_too(
    run: Callable[..., pb.Results],
    database: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database("a")
    monkeypatch.chdir(tmp_path / "a")
    results = run("sqlite:///mlflow.db")
    assert results.tracking_error is None
    assert (tmp_path / "a" / "mlartifacts" / "toy").is_dir()


@pytest.mark.parametrize("uri", ["nonsense", "mlruns/here", "ftp://x", "C:\\runs"])
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match="--tracking-uri"):
        Tracker(uri, "toy")


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(RequestError, match="'postgres://server/db' is no") as refused:
        Tracker("postgres://somebody:secret@server/db", "toy")
    assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_a_record_is_untouched_by_logging(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    with_log: list[Record] = run(database("a")).records
    assert with_log == run("").records


@pytest.mark.slow
def test_a_network_that_could_not_be_made_is_a_failed_run(
    run: Callable[..., pb.Results], database: Callable[[str], str]
) -> None:
    uri = database("server")
    lines = {"pruners": "[l1-filter]", "levels": "[0.968]", "metrics": "[accuracy]", "cams": None}
    records = run(uri, **lines).records
    runs = logged(uri)
    found = {record.role: runs[record.id] for record in records}
    status = {role: run.info.status for role, run in found.items()}
    assert status == {"baseline": "FINISHED", "control": "FINISHED", "compressed": "FAILED"}
    told = found["compressed"].data.metrics
    shown = {name for name in told if not name.startswith(("curve/", "parameter/"))}
    assert shown == {"cost/level"}
    assert "without channels" in found["compressed"].data.tags["mlflow.note.content"]
