"""One training on one device and on two: which engine gives the same weights, for which form of the loss.

    python -m benchmarks.devices [--jax-python PYTHON] [--record]

A body of three convolutions and three heads, eight drawn smears of 64 x 64 as the global batch, three steps of plain
gradient descent (SGD). "Two devices" are two logical ones in one process, or two processes that talk over 127.0.0.1;
all of them are this computer's processor. The JAX rows need a Python that has JAX, such as that of `make .venv-jax`.

TensorFlow's own server between processes listens on every address of the machine, whatever address it is told, and
asks nobody for a password. So two processes are started only in a network of their own, where 127.0.0.1 is all there
is: the program starts itself again with Linux' `unshare`. Where that is not allowed, these rows are left out.

`--record` writes data/recorded/devices.json, which losses_xla_precision_replicas shows.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

from yolo_helpers.anchors import DATA, Heads, default_anchors, grid_shapes
from yolo_helpers.annotations import read_annotations
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.loss import YoloLoss, identity_loss, yolo_loss
from yolo_helpers.smear import write_smears
from yolo_helpers.training_model import create_model

SHAPE, BATCH, STEPS, RATE = (64, 64), 8, 3, 1e-3
ROOT, RECORD = DATA.parent, DATA / "recorded" / "devices.json"
SECONDS = 900  # that an engine may take for all forms; an idle machine needs some 30
SAME = 1e-3  # a larger difference, as a part of the change of the weights, is no rounding
ANCHORS, CLASSES = default_anchors(3), 3
PACKAGES = {"tensorflow": ("tensorflow", "keras"), "jax": ("jax", "keras"), "tf_keras": ("tensorflow", "tf_keras")}
# What a message is searched for, to tell why something was refused.
WORDS = ("PerReplica", "num_processes", "auto-sharding", "tf.data.Dataset", "synchronized", "divisible")


@dataclass(frozen=True)
class Engine:
    """A way to train: `library` is Keras' backend, or "tf_keras", which is Keras 2."""

    library: str
    devices: int = 1  # in each process
    processes: int = 1


ENGINES = {
    "TensorFlow: one device": Engine("tensorflow"),
    "TensorFlow: MirroredStrategy, 2 devices": Engine("tensorflow", devices=2),
    "TensorFlow: MultiWorkerMirroredStrategy, 2 processes": Engine("tensorflow", processes=2),
    "TensorFlow: MultiWorkerMirroredStrategy, 2 processes, own loop": Engine("tensorflow", processes=2),
    "TensorFlow: DataParallel, 2 devices": Engine("tensorflow", devices=2),
    "JAX: one device": Engine("jax"),
    "JAX: DataParallel, 2 devices": Engine("jax", devices=2),
    "JAX: DataParallel, 2 processes": Engine("jax", processes=2),
    "JAX: DataParallel, 2 processes, whole batch": Engine("jax", processes=2),
    "tf_keras: one device": Engine("tf_keras"),
    "tf_keras: MirroredStrategy, 2 devices": Engine("tf_keras", devices=2),
    "tf_keras: MultiWorkerMirroredStrategy, 2 processes": Engine("tf_keras", processes=2),
}
ALONE = {engine.library: name for name, engine in ENGINES.items() if engine.devices == engine.processes == 1}


# The forms: what of the model differs ---------------------------------------------------------------------------------


def losses(args):
    """The loss of each image, (B, 1)."""
    return yolo_loss(args, ANCHORS, CLASSES)


def mean_loss(args):
    """The mean over the batch as a scalar, as keras-yolo3 returns it."""
    return ops.mean(losses(args))


def sum_loss(args):
    """The sum over the batch as a scalar, as YAD2K returns it."""
    return ops.sum(losses(args))


def scalar(function):
    return keras.layers.Lambda(function, output_shape=(1,), name="yolo_loss")


FORMS = {  # arguments of `create_model`, made anew for each model
    "Lambda": lambda: {},
    "layer": lambda: {"loss_layer": YoloLoss(ANCHORS, CLASSES)},
    "boxes": lambda: {"targets": "boxes"},
    "scalar mean": lambda: {"loss_layer": scalar(mean_loss)},
    "scalar sum": lambda: {"loss_layer": scalar(sum_loss)},
    "BatchNormalization": lambda: {},
    "synchronized": lambda: {},
    "odd last batch": lambda: {},
}
IN_KERAS_2 = {"Lambda": losses, "scalar mean": mean_loss, "scalar sum": sum_loss}
IN_KERAS_2 |= {"BatchNormalization": losses, "odd last batch": losses}


def forms_of(engine):
    """The forms that are tried with an engine."""
    forms = [form for form in FORMS if engine.library != "tf_keras" or form in IN_KERAS_2]
    if engine.processes == 2:
        forms.remove("odd last batch")  # a process that has fewer batches than the other would be waited for
    return forms


def photographs(form):
    """What `fit` is fed: the inputs, a list, and the target."""
    count = 2 * BATCH - 1 if form == "odd last batch" else BATCH
    with tempfile.TemporaryDirectory() as folder:
        smears, _ = read_annotations(write_smears(folder, count, SHAPE, seed=1))
        targets = "boxes" if form == "boxes" else "y_true"
        x, zeros = YoloDataset(smears, Heads(SHAPE, ANCHORS, CLASSES), count, targets=targets)[0]
    return list(x), zeros


def small_body(library, form):
    """Three convolutions and a head after each, of stride 8, 16 and 32."""
    layers, heads = library.layers, []
    x = image = library.Input((*SHAPE, 3))
    for kernel, stride in ((8, 8), (3, 2), (3, 2)):
        x = layers.Conv2D(16, kernel, strides=stride, padding="same")(x)
        if form in ("BatchNormalization", "synchronized"):
            x = layers.BatchNormalization(synchronized=form == "synchronized")(x)
        x = layers.LeakyReLU(0.1)(x)
        heads.insert(0, layers.Conv2D(3 * (5 + CLASSES), 1)(x))
    return library.Model(image, heads)


def compiled_model(library, form):
    """The training model in this form."""
    library.utils.set_random_seed(1)
    body = small_body(library, form)
    if library is keras:
        model = create_model(body, SHAPE, ANCHORS, CLASSES, **FORMS[form]())
    else:
        image = library.Input((*SHAPE, 3), dtype="uint8")
        y_true = [library.Input((*grid, 3, 5 + CLASSES)) for grid in grid_shapes(SHAPE, 3)]
        heads = body(library.layers.Rescaling(1 / 255)(image))
        loss = library.layers.Lambda(IN_KERAS_2[form], name="yolo_loss")([*heads, *y_true])
        model = library.Model([image, *y_true], loss)
    model.compile(library.optimizers.SGD(RATE), loss={"yolo_loss": identity_loss})
    return model


# A process that trains ------------------------------------------------------------------------------------------------


def prepare(name, process):
    """Makes the devices ready.

    Returns:
        The context in which the model is made, and a function (model, x, y, steps) that trains it.
    """
    engine = ENGINES[name]
    if engine.library == "jax":
        if engine.processes == 2:
            keras.distribution.initialize()  # addresses and number of the process: from the environment
        if name == ALONE["jax"]:
            return contextlib.nullcontext(), fit
        whole = engine.processes == 1 or "whole batch" in name
        parallel = keras.distribution.DataParallel(auto_shard_dataset=whole)
        return parallel.scope(), fit if whole else share_of(process)
    import tensorflow as tf

    if engine.devices == 2:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    if "DataParallel" in name:
        return keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"]).scope(), fit
    if engine.processes == 2:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()  # both processes: from the environment, TF_CONFIG
    elif engine.devices == 2:
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:
        return contextlib.nullcontext(), fit
    return strategy.scope(), loop_under(strategy) if "own loop" in name else fit


def fit(model, x, y, steps, batch_size=BATCH):
    model.fit(x, y, batch_size=batch_size, epochs=steps, shuffle=False, verbose=0)


def share_of(process):
    """Each process feeds its own part of the global batch."""
    share = BATCH // 2
    own = slice(process * share, (process + 1) * share)
    return lambda model, x, y, steps: fit(model, [array[own] for array in x], y[own], steps, share)


def loop_under(strategy):
    """The steps of `fit` written by hand, since Keras 3 refuses `fit` under MultiWorkerMirroredStrategy."""
    import tensorflow as tf

    def train(model, x, y, steps):
        def replica_step(batch):
            x, y = batch
            with tf.GradientTape() as tape:
                loss = model.compute_loss(x, y, model(x, training=True))  # divided by the number of replicas
            model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

        step = tf.function(lambda batch: strategy.run(replica_step, (batch,)))
        data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices((tuple(x), y)).batch(BATCH))
        for _ in range(steps):
            for part in data:
                step(part)

    return train


def child(name, process, folder, *forms):
    """Trains in each of the forms and writes the weights, or why there are none: FORM-PROCESS.npz or .json."""
    engine, library = ENGINES[name], keras
    if engine.library == "tf_keras":
        import tf_keras as library

    def write(form, value):
        path = Path(folder) / f"{form}-{process}"
        if isinstance(value, Exception):
            words = [type(value).__name__, *(word for word in WORDS if word in str(value))]
            path.with_suffix(".json").write_text(json.dumps(" ".join(words)), encoding="utf-8")
        else:
            np.savez(path.with_suffix(".npz"), **value)

    versions = {package: importlib.metadata.version(package) for package in PACKAGES[engine.library]}
    (Path(folder) / "versions.json").write_text(json.dumps(versions), encoding="utf-8")
    try:
        scope, train = prepare(name, int(process))
    except Exception as error:
        for form in forms:
            write(form, error)
        return
    with scope:
        for form in forms:
            x, y = photographs(form)
            try:
                model = compiled_model(library, form)
                moments = {"start": flat(model)}
                for moment, steps in (("first", 1), ("last", STEPS - 1)):
                    train(model, x, y, steps)
                    moments[moment] = flat(model)
            except Exception as error:
                write(form, error)
            else:
                write(form, moments)


def flat(model):
    """All weights in one row."""
    return np.concatenate([np.ravel(weight) for weight in model.get_weights()])


# The process that compares --------------------------------------------------------------------------------------------


def trained(name, forms, folder, python=sys.executable):
    """Trains with an engine, in one process or two of their own.

    Args:
        name: of `ENGINES`.
        forms: of `FORMS`.
        folder: an empty one, for what the processes write.
        python: the interpreter that has the engine's library.

    Returns:
        Form -> the weights of each process at the moments start, first (after the first step) and last, or why there
        are none; and the versions of the packages.

    Raises:
        RuntimeError: if a process ends before it has begun to train, as when the interpreter lacks the library.
    """
    folder, engine = Path(folder), ENGINES[name]
    running = []
    try:
        for process, environment in enumerate(environments(engine)):
            command = [python, "-m", "benchmarks.devices", "--child", name, str(process), folder, *forms]
            with (folder / f"{process}.log").open("w", encoding="utf-8") as log:
                environment = os.environ | environment
                running.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
        for process in running:
            process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        print(f"{name}: ended after {SECONDS} s", flush=True)
    finally:
        for process in running:
            process.kill()
            process.wait()
    if not (folder / "versions.json").exists():
        raise RuntimeError(f"{name} did not begin: {(folder / '0.log').read_text(encoding='utf-8')[-500:]}")
    versions = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
    found = {form: [read(folder / f"{form}-{process}") for process in range(engine.processes)] for form in forms}
    return found, versions


def environments(engine):
    """What each process of an engine finds in its environment."""
    flags = "--xla_backend_optimization_level=0"  # compiling takes most of the time
    common = {"KERAS_BACKEND": "jax" if engine.library == "jax" else "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    common |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={engine.devices}"}
    if engine.processes == 1:
        return [common]
    addresses = free_addresses(engine.processes)
    if engine.library == "jax":
        common |= {"KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(addresses), "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
        common |= {"JAX_COORDINATOR_BIND_ADDRESS": addresses[0], "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo"}
        return [common | {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)} for number in range(2)]
    tasks = [{"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}} for number in range(2)]
    return [common | {"TF_CONFIG": json.dumps(task)} for task in tasks]


def free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]


def read(path):
    if path.with_suffix(".npz").exists():
        return dict(np.load(path.with_suffix(".npz")))
    if path.with_suffix(".json").exists():
        return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return "no result"


def compare(found, alone):
    """How a training differs from that on one device.

    Args:
        found: the weights of each process, or why there are none, as `trained` returns them.
        alone: the weights on one device, likewise.

    Returns:
        "verdict": equal, step, other or refused; and with it "difference", the largest one in any process as a part of
        the largest change, after all steps; "apart", how far the processes differ from each other, likewise; "factor",
        the first step as a multiple of the right one; or "reason".
    """
    refused = [part for part in found if isinstance(part, str)]
    if refused:
        return {"verdict": "refused", "reason": refused[0]}
    alone = alone[0]
    right, change = alone["first"] - alone["start"], np.abs(alone["last"] - alone["start"]).max()

    def apart(one, other):
        return float(np.abs(one["last"] - other["last"]).max() / change)

    worst = max(found, key=lambda part: apart(part, alone))
    entry = {"difference": apart(worst, alone), "apart": apart(found[0], found[-1])}
    step = worst["first"] - worst["start"]
    factor = float(step @ right / (right @ right))
    if entry["difference"] < SAME:
        return {"verdict": "equal", **entry}
    if abs(factor - 1) > SAME and np.abs(step - factor * right).max() < SAME * np.abs(right).max():
        return {"verdict": "step", "factor": round(factor, 3), **entry}
    return {"verdict": "other", **entry}


def text(entry):
    """An entry of the table in a few words."""
    return {
        "equal": "equal ({difference:.0e})",
        "step": "wrong: step x {factor:.2f}",
        "other": "differs by {difference:.1%}",
        "refused": "refused: {reason}",
    }[entry["verdict"]].format(**entry)


def in_a_network_of_its_own():
    """Whether only 127.0.0.1 can be reached from here. Where Linux allows it, the program starts itself again so."""
    if "YOLO_OWN_NETWORK" in os.environ:
        return True
    alone = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if (
        all(map(shutil.which, ("unshare", "ip")))
        and not subprocess.run([*alone, "true"], capture_output=True).returncode
    ):
        again = [*alone, sys.executable, "-m", "benchmarks.devices", *sys.argv[1:]]
        os.execvpe(alone[0], again, os.environ | {"YOLO_OWN_NETWORK": "1"})
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--jax-python", type=Path, default=ROOT / ".venv-jax" / "bin" / "python", metavar="PYTHON")
    parser.add_argument("--record", action="store_true", help="write data/recorded/devices.json")
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    own_network, has_jax = in_a_network_of_its_own(), options.jax_python.exists()
    if not own_network:
        print("No rows with two processes: they need a network of their own, that is Linux with unshare and ip.")
    if not has_jax:
        print(f"No JAX rows: {options.jax_python} does not exist; --jax-python names a Python that has JAX.")

    table, versions, alone = {}, {}, {}
    for name, engine in ENGINES.items():
        if (engine.processes == 2 and not own_network) or (engine.library == "jax" and not has_jax):
            continue
        print(f"{name} …", flush=True)
        forms = forms_of(engine)
        with tempfile.TemporaryDirectory() as folder:
            python = options.jax_python if engine.library == "jax" else sys.executable
            found, packages = trained(name, forms, folder, python)
        versions |= packages
        if name == ALONE[engine.library]:
            alone[engine.library] = found
        else:
            table[name] = {form: compare(found[form], alone[engine.library][form]) for form in forms}

    hardware = f"{platform.machine()}, {os.cpu_count()} cores"
    words = ", ".join(f"{package} {version}" for package, version in versions.items())
    what = f"batch {BATCH} of {SHAPE[0]} x {SHAPE[1]}, {STEPS} steps of SGD at {RATE:g}"
    print(f"\n{datetime.date.today()}, {hardware}; {words}; {what}\n")
    print(f"| | {' | '.join(FORMS)} |\n|{' --- |' * (len(FORMS) + 1)}")
    for name, entries in table.items():
        print(f"| {name} | {' | '.join(text(entries[form]) if form in entries else '-' for form in FORMS)} |")
    if options.record:
        record = {
            "date": str(datetime.date.today()),
            "hardware": hardware,
            "versions": words,
            "command": "python -m benchmarks.devices --record",
            "what": what,
            "table": table,
        }
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
