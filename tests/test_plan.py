"""The plan: what is chosen for whom, that measuring changes nothing, and that a training goes on as it was begun."""

import json
import math
import random
import re
from dataclasses import replace

import keras
import numpy as np
import pytest

from yolo_helpers import plan as planning
from yolo_helpers.anchors import DATA
from yolo_helpers.annotations import read_annotations
from yolo_helpers.commands import main
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.device import GB, Device
from yolo_helpers.download import DownloadError
from yolo_helpers.memory import count_memory
from yolo_helpers.plan import choose_plan, choose_stages
from yolo_helpers.run_folder import BEST, PLAN, STATE
from yolo_helpers.smear import CLASS_NAMES, write_smears
from yolo_helpers.training import Stage, train

T4 = Device("Tesla T4", True, 16_106_127_360, 15_637_414_912, "mixed_float16")
L4 = replace(T4, name="NVIDIA L4", precision="mixed_bfloat16")
FULL = replace(T4, free=2 * GB)
CPU = Device("2 processor cores", False, 25 * GB, 21 * GB)
NAMES = list(CLASS_NAMES)
SHAPE = (64, 96)


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    return read_annotations(write_smears(tmp_path_factory.mktemp("smears"), 20, SHAPE, seed=7))[0]


@pytest.fixture(autouse=True)
def float32_afterwards():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def server(monkeypatch):
    """A server that has some of the networks, in place of all of which it gives a small one; what it was asked for."""
    asked, has = [], {"yolov3", "yolo-fastest"}

    def fetch(name):
        asked.append(name)
        if name not in has:
            raise DownloadError(f"{name}.weights could not be fetched (no network).")
        return DATA / "smears.cfg", DATA / "smears.weights"

    monkeypatch.setattr("yolo_helpers.start.fetch_network", fetch)
    return asked, has


@pytest.mark.parametrize(
    ("profile", "device", "fetched", "expected"),
    [
        ("auto", CPU, ["yolo-fastest"], ("float32", 8)),
        ("auto", T4, ["yolov3"], ("mixed_float16", 16)),
        ("auto", L4, ["yolov3"], ("mixed_bfloat16", 16)),
        ("auto", FULL, ["yolo-fastest"], ("float32", 8)),
        ("auto", replace(T4, memory=None, free=None), ["yolov3"], ("mixed_float16", 8)),
        ("laptop", T4, ["yolo-fastest"], ("float32", 8)),
        ("gpu", CPU, ["yolov3"], ("float32", 16)),
    ],
)
def test_what_each_profile_takes(server, smears, profile, device, fetched, expected):
    plan = choose_plan(profile, device, smears, NAMES, input_shape=SHAPE)
    assert server[0] == fetched
    assert (plan.precision, plan.batch_size) == expected
    computes = {layer.compute_dtype for layer in plan.start.body.layers if layer.get_weights()}
    assert computes == {expected[0].removeprefix("mixed_")}
    assert plan.start.heads.input_shape == SHAPE and plan.start.heads.num_classes == 3
    assert str(plan) == "\n".join(plan.reasons) and all(line.endswith(".") for line in plan.reasons)


@pytest.mark.parametrize(
    ("has", "asked"),
    [({"yolo-fastest"}, ["yolov3", "yolo-fastest"]), (set(), ["yolov3", "yolo-fastest"])],
)
def test_a_network_that_cannot_be_fetched_is_replaced_and_the_reader_told(server, smears, has, asked):
    server[1].intersection_update(has)
    plan = choose_plan("auto", T4, smears, NAMES)
    assert server[0] == asked and plan.precision == "mixed_float16"
    for name in set(asked) - has:
        assert f"{name}.weights could not be fetched (no network)." in str(plan)
    assert plan.start.description.startswith("yolo-fastest" if has else "smears")


def test_a_network_that_the_reader_named_is_not_replaced(server, smears):
    server[1].clear()
    with pytest.raises(DownloadError, match="yolov3.weights could not be fetched"):
        choose_plan("auto", CPU, smears, NAMES, start="yolov3")


def test_a_rehearsal_fetches_nothing_and_is_alike_everywhere(server, smears):
    plans = [
        choose_plan(profile, device, smears, NAMES, rehearsal=True) for profile, device in (("auto", CPU), ("gpu", T4))
    ]
    assert server[0] == [] and str(plans[0]) == str(plans[1])
    assert (plans[0].precision, plans[0].batch_size) == ("float32", 8)
    assert plans[0].start.description == "smears, all but its heads"


def test_what_is_given_is_kept(smears):
    plan = choose_plan("gpu", T4, smears, NAMES, "micro", SHAPE, "mixed_bfloat16", batch_size=3)
    assert (plan.precision, plan.batch_size) == ("mixed_bfloat16", 3) and plan.start.new_layers is None
    assert choose_plan("gpu", T4, smears[:5], NAMES, "micro", SHAPE).batch_size == 5  # no more than there are
    assert choose_plan("laptop", CPU, smears[:2], NAMES, "micro", SHAPE, batch_size=6).batch_size == 2


@pytest.mark.parametrize("free", [0.01, 0.02, 0.04, 0.1, 0.2, 15])
def test_the_largest_batch_that_fits(smears, free):
    plan = choose_plan("gpu", replace(T4, free=int(free * GB)), smears, NAMES, "micro", (192, 256))
    counted = {n: sum(count_memory(plan.start.body, n, "mixed_float16").values()) for n in (1, 2, 4, 8, 16)}
    assert plan.batch_size == max((n for n, count in counted.items() if count <= 0.8 * free * GB), default=1)
    assert ("too much" in str(plan)) == (counted[plan.batch_size] > 0.8 * free * GB)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"profile": "colab"}, "profile: expected one of auto, laptop, gpu, found 'colab'"),
        ({"precision": "float16"}, "precision: expected one of float32, .*, found 'float16'"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1 on, found 0"),
        ({"start": "nowhere"}, "nowhere: there is no such file"),
    ],
)
def test_what_is_none_of_these_is_said(smears, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        choose_plan(**{"profile": "auto", "device": CPU, "photographs": smears, "class_names": NAMES} | given)


def chance():
    """The next random numbers of Python and Keras, and weights made from them."""
    layer = keras.layers.Dense(2)
    layer.build((None, 2))
    return [random.random(), *keras.random.uniform((2,)), *np.ravel(layer.kernel)]


@pytest.fixture
def micro(smears):
    plan = choose_plan("laptop", CPU, smears, NAMES, "micro", SHAPE, batch_size=4)
    return plan, YoloDataset(smears[:16], plan.start.heads, 4, augment=True, targets="boxes")


@pytest.fixture
def taking(monkeypatch):
    """Each step takes 2 seconds by the clock, the first one 30 more, and saving 100."""
    now, fit, save = [0.0], keras.Model.fit, planning.Checkpoint.on_epoch_end
    places, first = [], [30.0]

    def fitted(model, *data, steps_per_epoch, **options):
        fit(model, *data, steps_per_epoch=steps_per_epoch, **options)
        now[0] += 2 * steps_per_epoch + (first.pop() if first else 0)

    def saved(checkpoint, epoch, logs=None):
        save(checkpoint, epoch, logs)
        places.append(checkpoint.folder)
        now[0] += 100

    monkeypatch.setattr(planning.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(keras.Model, "fit", fitted)
    monkeypatch.setattr(planning.Checkpoint, "on_epoch_end", saved)
    return places


@pytest.mark.parametrize(("small", "epochs"), [(5_000_000, 1), (1000, 5)])
def test_a_large_network_is_saved_less_often(micro, taking, tmp_path, monkeypatch, small, epochs):
    """And so what saving takes is only a part of what an epoch takes."""
    monkeypatch.setattr("yolo_helpers.start.SMALL", small)
    plan, data = micro
    assert plan.save_every == epochs
    assert planning._measure(plan, data, tmp_path, None) == pytest.approx((4 * 2 + 100 / epochs, 30))
    assert [place.parent for place in taking] == [tmp_path] and not list(tmp_path.iterdir())


def test_measuring_finds_the_time_of_an_epoch_and_changes_nothing(micro, taking, smears, tmp_path, capsys):
    plan, data = micro
    validation = YoloDataset(smears[16:], plan.start.heads, 4, targets="boxes")
    data.epoch, before = 5, plan.start.body.get_weights()
    keras.utils.set_random_seed(1)
    expected = chance()
    keras.utils.set_random_seed(1)
    stages = choose_stages(plan, data, tmp_path / "run", 30, validation=validation)
    assert chance() == expected
    assert (data.epoch, validation.epoch) == (5, 0)
    assert all(np.array_equal(*pair) for pair in zip(before, plan.start.body.get_weights(), strict=True))
    assert all(layer.trainable for layer in plan.start.body.layers)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [PLAN]

    # Four steps, and one batch for validation: a third of its time for the loss, and a fifth for what is found.
    epoch = 4 * 2 + 2 * (1 / 3 + 1 / 5) + 100
    assert stages == [Stage(int((30 * 60 - 30) / epoch), 5e-3)]
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.fixture
def clock(monkeypatch):
    """An epoch takes 10 seconds, what comes before a stage 30; how often that was measured."""
    measured = []
    monkeypatch.setattr(planning, "_measure", lambda *_: measured.append(1) or (10.0, 30.0))
    return measured


@pytest.mark.parametrize(("minutes", "expected"), [(10, 57), (0.1, 3), (1.5, 6), (60, 300), (1000, 300)])
def test_the_minutes_and_the_epochs(micro, clock, tmp_path, minutes, expected):
    (stage,) = choose_stages(*micro, tmp_path, minutes)
    assert stage.epochs == expected and not stage.frozen


@pytest.mark.parametrize(("minutes", "expected"), [(10, [10, 44]), (0.1, [1, 2]), (1000, [60, 240])])
def test_a_stage_of_new_layers_has_a_quarter_as_many_epochs(smears, clock, tmp_path, monkeypatch, minutes, expected):
    plan = choose_plan("laptop", CPU, smears, NAMES, "smears", SHAPE)
    monkeypatch.setattr("yolo_helpers.start.SMALL", 1000)  # so it is a large network
    stages = choose_stages(plan, YoloDataset(smears, plan.start.heads, 8), tmp_path, minutes)
    assert [stage.epochs for stage in stages] == expected and [stage.frozen for stage in stages] == [True, False]


def test_given_epochs_are_not_measured(micro, clock, tmp_path, capsys):
    plan, data = micro
    assert choose_stages(plan, data, tmp_path, 10, epochs=7) == plan.start.stages(len(data), 7)
    assert clock == [] and capsys.readouterr().out == ""


def test_a_training_goes_on_with_the_stages_that_it_began_with(micro, clock, tmp_path, monkeypatch):
    plan, data = micro
    first = choose_stages(plan, data, tmp_path, 10)
    (tmp_path / STATE).write_text("{}")
    monkeypatch.setattr(planning, "_measure", lambda *_: (1.0, 2.0))  # a faster machine
    assert choose_stages(plan, data, tmp_path, 10) == first
    by_the_device = {"start", "precision", "batch-size"}
    for changed, options, values in (
        ({"minutes": 20}, {"minutes"}, ["10", "20"]),
        ({"epochs": 5}, {"epochs"}, ["5"]),
        ({"plan": replace(plan, precision="mixed_float16")}, by_the_device, ["float32", "mixed_float16"]),
        ({"data": YoloDataset(data.annotations, data.heads, 8)}, by_the_device, ["4", "8"]),
        ({"plan": replace(plan, start=replace(plan.start, name="yolov3"))}, by_the_device, ["micro", "yolov3"]),
        ({"data": YoloDataset(data.annotations[:9], data.heads, 4), "minutes": 1}, {"minutes"}, ["16", "10", "9", "1"]),
    ):
        with pytest.raises(ValueError) as error:
            choose_stages(**{"plan": plan, "data": data, "folder": tmp_path, "minutes": 10} | changed)
        said = str(error.value).removeprefix(str(tmp_path))
        assert {*re.findall(r"\(--([\w-]+)\)", said)} == options
        assert {*values} <= {*re.findall(r"\w+", said)} and "None" not in said and "\n" not in said
    assert choose_stages(plan, data, tmp_path, 10) == first
    (tmp_path / STATE).unlink()  # no training yet, so it may be planned anew
    assert choose_stages(plan, data, tmp_path, 20) != first


def test_a_training_goes_on_without_the_gpu_if_the_plan_says_how(server, smears, clock, tmp_path):
    def stages(device, **told):
        plan = choose_plan("auto", device, smears, NAMES, input_shape=SHAPE, **told)
        return choose_stages(plan, YoloDataset(smears, plan.start.heads, plan.batch_size), tmp_path, 10)

    first = stages(T4)
    (tmp_path / STATE).write_text("{}")
    with pytest.raises(ValueError) as error:
        stages(CPU)
    told = dict(re.findall(r"\(--([\w-]+)\) ([\w-]+)", str(error.value)))  # the mend stands last
    batch_size = int(told.pop("batch-size"))
    assert stages(CPU, **told, batch_size=batch_size) == first


def test_a_training_without_a_plan_and_a_damaged_plan_are_said(micro, clock, tmp_path):
    with pytest.raises(ValueError, match="minutes: expected a number above 0, found 0"):
        choose_stages(*micro, tmp_path, 0)
    (tmp_path / STATE).write_text("{}")
    with pytest.raises(ValueError, match="--resume"):
        choose_stages(*micro, tmp_path, 10)
    (tmp_path / PLAN).write_text('{"settings": {"minu')
    with pytest.raises(ValueError, match="plan.json: damaged"):
        choose_stages(*micro, tmp_path, 10)
    assert clock == []


def test_a_planned_training_is_trained_and_gone_on_with(eagerly, micro, clock, smears, tmp_path):
    plan, _ = micro
    for _ in range(2):
        data = YoloDataset(smears[:4], plan.start.heads, plan.batch_size, augment=True, targets="boxes")
        stages = choose_stages(plan, data, tmp_path, 0.1)
        history = train(plan.start.body, data, stages, tmp_path, resume=True, verbose=0)
    assert len(history["loss"]) == 3 and (tmp_path / BEST).is_file() and len(clock) == 1


def command(path, folder, *more):
    main(["train", "--train", str(path), "--folder", str(folder), "--input-shape", *map(str, SHAPE), *more])


@pytest.fixture
def trained(monkeypatch):
    """What the command would train, on a computer with a T4."""
    calls = []
    monkeypatch.setattr("yolo_helpers.commands.find_device", lambda: T4)
    monkeypatch.setattr("yolo_helpers.commands.train", lambda *given, **_: calls.append(given))
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: None)  # no training, so no best weights
    return calls


@pytest.mark.parametrize(
    ("options", "network", "computes", "batch"),
    [
        ([], "yolov3", "float16", 16),
        (["--profile", "laptop"], "yolo-fastest", "float32", 8),
        (["--start", "tiny", "--precision", "float32", "--batch-size", "2"], "tiny", "float32", 2),
    ],
)
def test_the_command_takes_the_same_plan(server, trained, smears, tmp_path, options, network, computes, batch):
    server[1].add("tiny")
    command(smears[0].image_path.parent / "annotations.txt", tmp_path, *options)
    ((body, data, stages, *_),) = trained
    assert server[0] == [network]
    assert data.batch_size == batch and body.layers[1].compute_dtype == computes
    # A small network stands in for each, so there is one stage of 600 steps; 18 photographs are learnt from.
    assert [stage.epochs for stage in stages] == [min(100, math.ceil(600 / math.ceil(18 / batch)))]


def test_the_command_takes_minutes(server, trained, clock, smears, tmp_path):
    path = smears[0].image_path.parent / "annotations.txt"
    command(path, tmp_path, "--minutes", "10", "--learning-rate", "0.01")
    ((_, _, stages, *_),) = trained
    assert stages == [Stage(57, 0.01)] and json.loads((tmp_path / PLAN).read_text())["settings"]["minutes"] == 10
    with pytest.raises(SystemExit):
        command(path, tmp_path, "--minutes", "10", "--epochs", "3")
