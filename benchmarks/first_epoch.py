"""How long a reader waits for the first epoch of lesson 00, in several checkouts of the course, in turns.

    git worktree add --detach ../before COMMIT
    python benchmarks/first_epoch.py ../before . --turns 5

Each turn starts a fresh process for each checkout, since TensorFlow keeps what it has built, and does what the lesson
does: 160 smears, the micro body, `create_model`, `compile` with the identity, `fit` for one epoch. The first step is
nearly all graph building. It is measured without and with the optimiser's variables made before it, which spares
TensorFlow the second of two traces. The seconds are the processor's: they vary less than the clock's where the machine
has other work.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.table import machine, spread

PHOTOGRAPHS, BATCH, SHAPE = 160, 8, (96, 128)
PARTS = ("build", "compile", "first two steps", "rest of the epoch", "all")


def first_epoch(checkout: str, build_optimizer: bool) -> dict[str, float]:
    """Seconds of the processor for each part, in this process, with the package of a checkout."""
    sys.path.insert(0, checkout)
    import keras

    from yolo_helpers.anchors import default_anchors
    from yolo_helpers.annotations import read_annotations
    from yolo_helpers.dataset import YoloDataset
    from yolo_helpers.model import micro_yolo_body
    from yolo_helpers.smear import write_smears
    from yolo_helpers.training import create_model

    keras.utils.set_random_seed(1)
    anchors = default_anchors(3)
    with tempfile.TemporaryDirectory() as folder:
        smears, class_names = read_annotations(write_smears(Path(folder), PHOTOGRAPHS, SHAPE, seed=1))
        data = YoloDataset(smears, SHAPE, anchors, len(class_names), batch_size=BATCH)
        clock = [time.process_time()]
        body = micro_yolo_body(keras.Input((*SHAPE, 3)), 3, len(class_names))
        model = create_model(body, SHAPE, anchors, len(class_names))
        clock.append(time.process_time())
        schedule = keras.optimizers.schedules.CosineDecay(5e-3, 8 * len(data), alpha=0.01)
        model.compile(optimizer=keras.optimizers.Adam(schedule), loss={"yolo_loss": lambda y_true, y_pred: y_pred})
        if build_optimizer:
            model.optimizer.build(model.trainable_variables)
        clock.append(time.process_time())
        steps = [2, len(data)]  # TensorFlow's second trace comes with the second step
        at_step = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda step, logs: step + 1 in steps and clock.append(time.process_time())
        )
        model.fit(data, epochs=1, shuffle=False, verbose=0, callbacks=[at_step])
    seconds = [end - start for start, end in zip(clock, clock[1:], strict=False)]
    return dict(zip(PARTS, [*seconds, sum(seconds)], strict=True))


def in_a_fresh_process(checkout: str, build_optimizer: bool) -> dict[str, float]:
    """`first_epoch`, where nothing is built yet."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, checkout, "--one", str(int(build_optimizer))]
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", help="folders that hold a yolo_helpers")
    parser.add_argument("--turns", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--one", type=int, choices=[0, 1], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(first_epoch(options.checkouts[0], bool(options.one))))
        sys.exit()
    cases = [(checkout, built) for checkout in options.checkouts for built in (False, True)]
    turns = [[in_a_fresh_process(*case) for case in cases] for _ in range(options.turns)]
    print(f"{machine()}; seconds of the processor, median (least to most)\n")
    print(f"| | {' | '.join(PARTS)} |\n| --- {'| --- ' * len(PARTS)}|")
    for (checkout, built), samples in zip(cases, zip(*turns, strict=True), strict=True):
        name = f"{checkout}{', optimiser built before' if built else ''}"
        print(f"| {name} | {' | '.join(spread([sample[part] for sample in samples]) for part in PARTS)} |")
