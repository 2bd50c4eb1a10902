"""The full network on a GPU with JAX: images a second, the share of the chip's matrix rate, and PyTorch beside it.

    python -m benchmarks.gpu [--batch 64 128 256] [--record]
    python -m benchmarks.gpu --small

The body of YOLOv3 at 416 x 416 with 80 classes, in bfloat16, compiled by XLA, with the batch normalisation of
networks made from a cfg. A training step is timed for each batch size, up to the first that does not fit into
the memory; all other lines have the batch size that was best. JAX and PyTorch run in processes of their own, one after
the other, since each takes the GPU's memory for itself; each has `--seconds`, and what it measured until then counts.
`--small` runs every line with the micro body at 64 x 64, on a CPU too: that shows that the script works, and nothing
about a GPU. `--record` writes data/recorded/gpu.json.
"""

import argparse
import datetime
import functools
import importlib.util
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice, pairwise
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Nearly all of the memory, as PyTorch has it; JAX alone would take three quarters.
os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.9")

from benchmarks.table import machine
from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.files import write_json

RECORD = DATA / "recorded" / "gpu.json"
CLASSES, RATE = 80, 1e-4
FULL = {"body": "yolo", "side": 416, "batch": [64, 128, 256], "repeats": 3, "steps": 10}
FULL |= {"photographs": 64, "matrix": 8192}
SMALL = {"body": "micro", "side": 64, "batch": [2, 4], "repeats": 2, "steps": 2, "photographs": 2, "matrix": 256}
STEP, DENSE, ALONE = "step, boxes (best batch)", "step, dense", "step without the loss"
KERAS = "step, boxes, Keras' BatchNormalization"
MEMORY, MEMORY_DENSE = "fit from memory, boxes", "fit from memory, dense"
TORCH, TORCH_PLAIN = "PyTorch, step without the loss", "PyTorch, not compiled, step without the loss"
# Of the bodies in yolo_helpers.model: a convolution at full resolution, channels before the first stage and after each,
# residual blocks of each stage, and pairs of convolutions before each head.
LAYERS = {
    "yolo": (True, (32, 64, 128, 256, 512, 1024), (1, 2, 8, 8, 4), 2),
    "micro": (False, (8, 8, 24, 48, 64, 96), (0, 0, 1, 1, 1), 0),
}


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


def seconds_of_a_step(runs: dict[str, Callable], size: dict) -> dict[str, list[float]]:
    """Seconds of a step, one value a round; what is compared takes turns.

    Args:
        runs: name -> a function that takes a number of steps, and returns how many seconds they took once all are done.
        size: FULL or SMALL.
    """
    for name, run in runs.items():
        say(f"{name}: the first steps, which may compile …")
        run(size["steps"])
    rounds = [{name: run(size["steps"]) / size["steps"] for name, run in runs.items()} for _ in range(size["repeats"])]
    for name in runs:
        say(f"{name}: {1000 * statistics.median(times[name] for times in rounds):.3g} ms")
    return {name: [times[name] for times in rounds] for name in runs}


def measure_jax(size: dict, write: Callable[[dict], None]) -> None:
    """All but PyTorch: seconds of a step for each line, and what was measured on; written as soon as it is known."""
    import jax
    import keras
    from keras import ops

    from benchmarks.dataset import write_photographs
    from yolo_helpers.anchors import default_anchors
    from yolo_helpers.dataset import YoloDataset
    from yolo_helpers.loss import identity_loss
    from yolo_helpers.model import BATCH_NORM_EPSILON, BODIES, FusedBatchNormalization, inference_model
    from yolo_helpers.training_model import create_model

    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    shape, anchors = (size["side"], size["side"]), default_anchors(3)
    plain = BODIES[size["body"]](keras.Input((*shape, 3)), 3, CLASSES)

    def fused(layer):
        kind = FusedBatchNormalization if type(layer) is keras.layers.BatchNormalization else type(layer)
        other = {"epsilon": BATCH_NORM_EPSILON} if kind is FusedBatchNormalization else {}
        return kind.from_config(layer.get_config() | other)

    body = keras.models.clone_model(plain, clone_function=fused)

    def mean_square(heads):
        """In place of the loss, (B, 1), where the network alone is timed."""
        return sum(ops.mean(ops.square(head), (1, 2, 3)) for head in heads)[:, None]

    def compiled(model):
        model.compile(keras.optimizers.Adam(RATE), loss={"yolo_loss": identity_loss}, jit_compile=True)
        model.optimizer.build(model.trainable_variables)
        return model

    def without_the_loss():
        detector = inference_model(body, shape)
        layer = keras.layers.Lambda(mean_square, output_shape=(1,), name="yolo_loss", dtype="float32")
        return compiled(keras.Model(detector.input, layer(detector.outputs)))

    def training(body, targets="boxes"):
        return compiled(create_model(body, shape, anchors, CLASSES, targets=targets))

    device = jax.devices()[0]
    memory = (device.memory_stats() or {}).get("bytes_limit")
    convolutions = [layer for layer in body.layers if isinstance(layer, keras.layers.Conv2D)]
    multiplied = sum(math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3]) for layer in convolutions)
    result = {
        "device": device.device_kind if memory is None else f"{device.device_kind}, {memory / 2**30:.0f} GiB for JAX",
        "parameters": sum(math.prod(weight.shape) for weight in body.trainable_weights),
        # A multiplication and an addition each; forward, and backward for the inputs and for the weights.
        "flop": 3 * 2 * multiplied,
        "product": seconds_of_a_step({"product": product_of(size["matrix"])}, size)["product"],
        "batches": {},
        "steps": {},
    }
    write(result)

    class Again(keras.utils.PyDataset):
        """One batch, as many times as an epoch has steps."""

        def __init__(self, batch, steps=size["steps"]):
            super().__init__()
            self.batch, self.steps = batch, steps

        def __len__(self):
            return self.steps

        def __getitem__(self, index):
            return self.batch

    class Clock(keras.callbacks.Callback):
        """Notes the seconds of an epoch. Its loss becomes a number only when all of its steps are done."""

        def on_epoch_begin(self, epoch, logs=None):
            self.begun = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            assert math.isfinite(float(logs["loss"])), "the loss is no number"
            self.seconds = time.perf_counter() - self.begun

    def fit(model, batches):
        def run(steps):
            clock = Clock()
            model.fit(batches, shuffle=False, verbose=0, callbacks=[clock])
            return clock.seconds

        return run

    with tempfile.TemporaryDirectory() as folder:
        say(f"drawing {size['photographs']} photographs …")
        photographs = write_photographs(Path(folder), size["photographs"])

        def data(count, batch, targets="boxes", **settings):
            """As many photographs as asked for, the same ones again and again."""
            many = list(islice(cycle(photographs), count))
            return YoloDataset(many, Heads(shape, anchors, CLASSES), batch, targets=targets, **settings)

        boxes = training(body)
        for batch in size["batch"]:
            name = f"step, batch {batch}"
            before = [(variable, variable.numpy()) for variable in (*boxes.variables, *boxes.optimizer.variables)]
            try:
                again, begun = jax.device_put(data(batch, batch)[0]), time.perf_counter()
                fit(boxes, Again(again, 1))(1)
                first = time.perf_counter() - begun
                result["batches"][batch] = seconds_of_a_step({name: fit(boxes, Again(again))}, size)[name]
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                say(f"batch {batch} does not fit into the memory")
                result["does_not_fit"] = batch
                for variable, value in before:  # the step that failed has used them up
                    variable.assign(value)
                break
            # The most until now: what the larger of two batches took, as they come in this order.
            peak = (device.memory_stats() or {}).get("peak_bytes_in_use", 0)
            result.setdefault("first", {})[batch] = {"seconds": digits(first), "peak_gigabytes": digits(peak / 1e9)}
            write(result)
        if not result["batches"]:
            sys.exit(f"Batch {size['batch'][0]} does not fit into the memory: give a smaller one with --batch.")
        best = best_of(result)
        with_boxes, with_grids = data(best, best)[0], data(best, best, "y_true")[0]
        (image, *_), zeros = with_boxes
        on_the_device = Again(jax.device_put(with_boxes))
        alone, dense = without_the_loss(), training(body, "y_true")
        runs = {
            STEP: fit(boxes, on_the_device),
            ALONE: fit(alone, Again(jax.device_put((image, zeros)))),
            DENSE: fit(dense, Again(jax.device_put(with_grids))),
            KERAS: fit(training(plain), on_the_device),
        }
        result["steps"] |= seconds_of_a_step(runs, size)
        write(result)
        runs = {
            MEMORY: fit(boxes, Again(with_boxes)),
            MEMORY_DENSE: fit(dense, Again(with_grids)),
        }
        result["steps"] |= seconds_of_a_step(runs, size)
        write(result)


def product_of(side: int) -> Callable:
    """Products of two square matrices in bfloat16, one after the other."""
    import jax
    import jax.numpy as jnp

    square = jax.random.normal(jax.random.key(0), (side, side), jnp.bfloat16)
    scaled = square / math.sqrt(side)  # so that a product is of the size of its factors
    multiply = jax.jit(jnp.matmul)

    def run(steps):
        begun, product = time.perf_counter(), square
        for _ in range(steps):
            product = multiply(product, scaled)
        product.block_until_ready()
        return time.perf_counter() - begun

    return run


def torch_body(name: str, outputs: int):
    """The same network in PyTorch, layer by layer.

    Args:
        name: a key of LAYERS.
        outputs: channels of each head.
    """
    import torch
    from torch import nn

    from yolo_helpers.model import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM

    at_full_resolution, widths, blocks, pairs = LAYERS[name]

    def conv(before, filters, kernel, stride=1):
        # With stride 2, padding above and left only.
        padded = [nn.ZeroPad2d((1, 0, 1, 0))] if stride == 2 else []
        padding = 0 if stride == 2 else kernel // 2
        convolution = nn.Conv2d(before, filters, kernel, stride, padding, bias=False)
        # PyTorch's momentum is the part of the new value, that of Keras of the old one.
        norm = nn.BatchNorm2d(filters, BATCH_NORM_EPSILON, 1 - BATCH_NORM_MOMENTUM)
        return nn.Sequential(*padded, convolution, norm, nn.LeakyReLU(0.1))

    class Block(nn.Module):
        def __init__(self, narrow, wide):
            super().__init__()
            self.inner = nn.Sequential(conv(wide, narrow, 1), conv(narrow, wide, 3))

        def forward(self, x):
            return x + self.inner(x)

    class Head(nn.Module):
        def __init__(self, stage):
            super().__init__()
            narrow, wide = widths[stage], widths[stage + 1]
            before = wide if stage == 4 else narrow + wide
            self.lift = None if stage == 4 else nn.Sequential(conv(wide, narrow, 1), nn.Upsample(scale_factor=2))
            shared = []
            for _ in range(pairs):
                shared += [conv(before, narrow, 1), conv(narrow, wide, 3)]
                before = wide
            self.shared = nn.Sequential(*shared, conv(before, narrow, 1))
            self.own = nn.Sequential(conv(narrow, wide, 3), nn.Conv2d(wide, outputs, 1))

        def forward(self, x, end):
            x = self.shared(end if self.lift is None else torch.cat([self.lift(x), end], 1))
            return x, self.own(x)

    class Body(nn.Module):
        def __init__(self):
            super().__init__()
            before = widths[0] if at_full_resolution else 3
            self.start = conv(3, before, 3) if at_full_resolution else nn.Identity()
            stages = []
            for (narrow, wide), count in zip(pairwise(widths), blocks, strict=True):
                stages.append(nn.Sequential(conv(before, wide, 3, 2), *(Block(narrow, wide) for _ in range(count))))
                before = wide
            self.stages = nn.ModuleList(stages)
            self.heads = nn.ModuleList(Head(stage) for stage in (4, 3, 2))

        def forward(self, x):
            x, ends, found = self.start(x), [], []
            for stage in self.stages:
                x = stage(x)
                ends.append(x)
            for head, end in zip(self.heads, reversed(ends)):
                x, raw = head(x, end)
                found.append(raw)
            return found

    return Body()


def measure_torch(size: dict, batch: int, write: Callable[[dict], None]) -> None:
    """The yardstick: seconds of a step without the loss, not compiled and compiled, or a note why there are none."""
    import torch

    from yolo_helpers.model import L2

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and size is FULL:
        write({"note": "PyTorch: not measured, the one installed here finds no GPU."})
        return
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # tries several ways of each convolution, as XLA does
    network = torch_body(size["body"], 3 * (5 + CLASSES)).to(device, memory_format=torch.channels_last)
    result = {"parameters": sum(weight.numel() for weight in network.parameters())}
    kernels = [weight for weight in network.parameters() if weight.ndim == 4]
    others = [weight for weight in network.parameters() if weight.ndim != 4]
    # The derivative of the penalty L2 w^2, for the kernels as in Keras.
    groups = [{"params": kernels, "weight_decay": 2 * L2}, {"params": others}]
    optimizer = torch.optim.Adam(groups, lr=RATE, fused=True)
    images = torch.randint(256, (batch, 3, size["side"], size["side"]), dtype=torch.uint8, device=device)
    images = images.contiguous(memory_format=torch.channels_last)

    def plain(images):
        with torch.autocast(device, torch.bfloat16):
            heads = network(images / 255)
        return sum((head.float() ** 2).mean() for head in heads)

    def training(loss_of):
        def run(steps):
            begun = time.perf_counter()
            for _ in range(steps):
                optimizer.zero_grad()
                loss = loss_of(images)
                loss.backward()
                optimizer.step()
            if device == "cuda":
                torch.cuda.synchronize()
            assert math.isfinite(loss.item()), "the loss is no number"
            return time.perf_counter() - begun

        return run

    try:
        result["steps"] = seconds_of_a_step({TORCH_PLAIN: training(plain)}, size)
        write(result)
        say("PyTorch: compiling …")
        result["steps"] |= seconds_of_a_step({TORCH: training(torch.compile(plain, dynamic=False))}, size)
    except torch.OutOfMemoryError:
        result["note"] = f"PyTorch: batch {batch} does not fit into its memory."
    except RuntimeError as error:  # no C++ compiler, or no Triton
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        result["note"] = f"PyTorch: not compiled, since torch.compile failed here ({reason:.150})."
    write(result)


def in_a_process(part: str, options: argparse.Namespace, batch: list[int]) -> dict:
    """Measures with one framework, which gives the memory back when its process ends; what it measured in its time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, "-m", "benchmarks.gpu", "--part", part, str(path), "--batch", *map(str, batch)]
        # PyTorch's process reads constants of the package: JAX must not take the GPU's memory for that.
        environment = os.environ | ({"JAX_PLATFORMS": "cpu"} if part == "torch" else {})
        what = [*command, *(["--small"] if options.small else [])]
        note, seconds = None, options.seconds[part == "torch"]
        try:
            if subprocess.run(what, env=environment, stdout=sys.stderr, timeout=seconds).returncode:
                note = f"The process of {part} failed; what it said stands above the table."
        except subprocess.TimeoutExpired:
            note = f"The process of {part} was ended after {seconds} s."
        result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return result | ({"cut": note} if note else {})


def figures(what: str, batch: int, times: list[float]) -> dict:
    """A line of the record: median, least and most of the rounds."""
    of = [statistics.median(times), min(times), max(times)]
    rates = [batch / of[0], batch / of[2], batch / of[1]]
    return {
        "what": what,
        "batch": batch,
        "images_a_second": [digits(value) for value in rates],
        "milliseconds": [digits(1000 * value) for value in of],
    }


def lines_of(found: dict, yardstick: dict, side: int) -> list[dict]:
    """The lines of the table, in order, each with its floor and with what it is to be compared with.

    Args:
        found: what `measure_jax` returned.
        yardstick: what `measure_torch` returned.
        side: of the square product.
    """
    best, steps = best_of(found), found["steps"] | yardstick.get("steps", {})
    median = {name: statistics.median(times) for name, times in steps.items()}
    rate = 2 * side**3 / statistics.median(found["product"])
    an_image = found["flop"] / rate  # seconds, if the chip did nothing but multiply at that rate
    torch = TORCH if TORCH in steps else TORCH_PLAIN
    compared = {STEP: ALONE, DENSE: STEP, ALONE: torch, MEMORY: STEP, MEMORY_DENSE: MEMORY, KERAS: STEP}
    floors = {MEMORY: median.get(STEP), MEMORY_DENSE: median.get(DENSE)}
    rows = [("step, boxes", int(batch), times) for batch, times in found["batches"].items()]
    rows += [(name, best, times) for name, times in steps.items()]

    lines = []
    for name, batch, times in rows:
        line = figures(name, batch, times)
        line["share_of_matrix_rate"] = digits(line["images_a_second"][0] * an_image)
        line["floor_milliseconds"] = digits(1000 * floors.get(name, batch * an_image))
        if name == "step, boxes":
            line |= {f"first_{what}": value for what, value in found["first"][str(batch)].items()}
        if compared.get(name) in steps:
            line |= {"compared_with": compared[name], "ratio": digits(median[compared[name]] / median[name])}
        lines.append(line)
    return lines


def digits(value: float) -> float:
    """A number with four digits."""
    return float(f"{value:.4g}")


def shown(values: list[float]) -> str:
    """Median (least to most), with three digits."""
    median, least, most = (f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in values)
    return f"{median} ({least} to {most})"


def print_table(record: dict) -> None:
    """The record as Markdown.

    Args:
        record: what `--record` writes.
    """
    print(f"{record['date']}, {record['device']}; {record['machine']}; {record['what']}\n")
    print("| | batch | images a second | ms | share of the matrix rate | compared with | ratio | floor, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    product = record["product"]
    print(
        f"| product of {product['side']} x {product['side']}, {shown(product['teraflop_a_second'])} TFLOP/s | | | "
        f"{shown(product['milliseconds'])} | 1 | | | |"
    )
    for line in record["lines"]:
        print(
            f"| {line['what']} | {line['batch']} | {shown(line['images_a_second'])} | {shown(line['milliseconds'])} | "
            f"{line['share_of_matrix_rate']:.3g} | {line.get('compared_with', '')} | {line.get('ratio', '')} | "
            f"{line['floor_milliseconds']:.3g} |"
        )
    for note in record["notes"]:
        print(f"\n{note}")


def default_backend() -> str:
    """Where JAX computes; asked in a process of its own, since JAX takes the memory as soon as it is asked."""
    ask = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


def main(options: argparse.Namespace, size: dict) -> None:
    """Prints the table, and writes the record if asked to."""
    if options.record and options.small:
        sys.exit("--record is for the full run on a GPU: a run with --small says nothing about one.")
    if importlib.util.find_spec("jax") is None:
        found = "JAX is not installed here"
    elif not options.small and default_backend() != "gpu":
        found = "JAX finds no GPU here"
    else:
        found = None
    if found and options.record:
        sys.exit(f"{found}: nothing is recorded, since what a CPU does must not stand there as a GPU's figures.")
    if found:
        print(f"{found}, so nothing is measured: benchmarks/README.md says what this script needs.")
        return

    jax = in_a_process("jax", options, size["batch"])
    if not jax.get("batches"):
        sys.exit("The measurement with JAX failed; what it said stands above.")
    record = record_of(jax, {}, size)
    if options.record:
        write_json(RECORD, record)
    if importlib.util.find_spec("torch") is None:
        torch = {"note": "PyTorch: not measured, it is not installed here."}
    else:
        torch = in_a_process("torch", options, [best_of(jax)])
    if torch.get("parameters", jax["parameters"]) != jax["parameters"]:
        sys.exit(f"PyTorch's network has {torch['parameters']} parameters, that of Keras {jax['parameters']}.")
    record = record_of(jax, torch, size)
    print_table(record)
    if options.record:
        write_json(RECORD, record)
    if "cut" in jax | torch:
        sys.exit("Not all was measured.")


def best_of(jax: dict) -> int:
    """The batch size with the most images a second."""
    return int(min(jax["batches"], key=lambda batch: statistics.median(jax["batches"][batch]) / int(batch)))


def record_of(jax: dict, torch: dict, size: dict) -> dict:
    """What `--record` writes, from what the two processes measured."""
    side, notes = size["matrix"], [part["cut"] for part in (jax, torch) if "cut" in part]
    if "does_not_fit" in jax:
        notes.append(f"Batch {jax['does_not_fit']} does not fit into the memory.")
    if "note" in torch:
        notes.append(torch["note"])
    product = figures("product", 1, jax["product"])
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "device": jax["device"],
        "machine": machine(),
        "command": shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]]),
        "what": f"{size['body']} body, {size['side']} x {size['side']}, {CLASSES} classes, {jax['parameters']} trained "
        f"parameters, {jax['flop'] / 1e9:.3g} GFLOP an image forward and backward, bfloat16; median (least to "
        f"most) of {size['repeats']} rounds of {size['steps']} steps",
        "gigaflop_an_image": round(jax["flop"] / 1e9, 4),
        "parameters": jax["parameters"],
        "best_batch": best_of(jax),
        "product": {
            "side": side,
            "milliseconds": product["milliseconds"],
            "teraflop_a_second": [digits(2 * side**3 * rate / 1e12) for rate in product["images_a_second"]],
        },
        "lines": lines_of(jax, torch, side),
        "notes": notes,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", metavar="N", help="images in a batch, of one size or several")
    parser.add_argument("--small", action="store_true", help="micro body at 64 x 64: does the script run?")
    parser.add_argument("--record", action="store_true", help="write data/recorded/gpu.json")
    parser.add_argument(
        "--seconds", type=int, nargs=2, default=[300, 300], help="for JAX and PyTorch (default: 300 300)"
    )
    parser.add_argument("--part", nargs=2, metavar=("FRAMEWORK", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = SMALL if options.small else FULL
    size["batch"] = sorted(set(options.batch or size["batch"]))
    if size["batch"][0] < 1:
        parser.error("--batch takes numbers from 1.")
    if options.part:
        part, path = options.part
        write = functools.partial(write_json, path)
        measure_jax(size, write) if part == "jax" else measure_torch(size, size["batch"][0], write)
    else:
        main(options, size)
