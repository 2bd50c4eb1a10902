"""The commands of `python -m yolo_helpers`: look, train, detect and export."""

import argparse
import math
import multiprocessing
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.anchors import DATA, Heads
from yolo_helpers.annotations import (
    FORMATS,
    Annotation,
    get_classes,
    read_annotations,
    read_splits,
    shared_photographs,
    split_annotations,
)
from yolo_helpers.augment import Augmentation
from yolo_helpers.darknet import build_body, layers_from, load_weights, read_cfg
from yolo_helpers.dataset import YoloDataset
from yolo_helpers.detection import detect
from yolo_helpers.device import find_device
from yolo_helpers.download import NETWORKS, fetch_network
from yolo_helpers.export import export_detector
from yolo_helpers.files import list_files, write_json
from yolo_helpers.hand_on import hand_on
from yolo_helpers.images import IMAGE_SUFFIXES, ImageError, open_image
from yolo_helpers.look import look
from yolo_helpers.model import inference_model, read_weights
from yolo_helpers.photographs import bring_photographs
from yolo_helpers.plan import PRECISIONS, PROFILES, choose_plan, choose_stages
from yolo_helpers.plots import save_boxes, save_photographs
from yolo_helpers.run_folder import BEST, judge_test, load_detector
from yolo_helpers.training import TensorBoard, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of the commands; see `python -m yolo_helpers --help`.

    Args:
        arguments: what stands after `python -m yolo_helpers`; those of the process when None.

    Returns:
        The exit status: 1 if a photograph could not be read or a training would not start, else 0.

    Raises:
        ValueError, OSError: with one sentence, for whatever the reader can mend.
    """
    parser = argparse.ArgumentParser(prog="python -m yolo_helpers")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_look(commands)
    _add_train(commands)
    _add_detect(commands)
    _add_export(commands)
    options = parser.parse_args(arguments)
    return options.run(options)


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} on, found {text}")
        return int(text)

    return number


def _positive(text: str) -> float:
    if not 0 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return float(text)


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return float(text)


def _source(text: str) -> Path:
    if re.match("https?://", text, re.IGNORECASE):
        raise argparse.ArgumentTypeError(f"{text}: only lesson 04 takes addresses: fetch it, and give the file")
    return Path(text)


def _add_look(commands) -> None:
    parser = commands.add_parser(
        "look",
        help="look at annotated photographs before a training",
        description="Looks at annotated photographs: how many, boxes of each class, sizes on the network's input, and "
        "all that is wrong, with file and line. The exit status is 0 if a training would start, else 1.",
    )
    parser.set_defaults(run=_look, parser=parser)
    source = {"nargs": "+", "metavar": ("PATH", "SPLIT"), "type": _source}
    parser.add_argument("path", nargs="+", type=_source, metavar="PATH", help="annotations; for Pascal VOC also a list")
    parser.add_argument("--validation", **source, help="a data set of its own for validation")
    _add_data_options(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("look.png"), help="ten of them with their boxes (default: %(default)s)"
    )


def _look(options: argparse.Namespace) -> int:
    if max(len(options.path), len(options.validation or ())) > 2:
        options.parser.error("a data set is one path, and for Pascal VOC a list of names after it")
    _unpack(options.path, options.validation)
    if options.path[0].is_dir() and options.path[0].resolve() in options.out.resolve().parents:
        raise ValueError(f"{options.out}: the picture would become one of the data set's own: choose another --out.")
    found = look(
        options.path[0],
        split=options.path[1] if len(options.path) == 2 else None,
        validation=options.validation,
        input_shape=options.input_shape,
        **_data_options(options),
    )
    print(found)
    chosen = found.some(10)
    if chosen:
        save_photographs(options.out, chosen, found.class_names)
        print(f"{len(chosen)} photographs with their boxes: {options.out}")
    return int(not found.ready)


def _add_train(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a detector on annotated photographs",
        description="Trains a YOLOv3-style detector on annotated photographs, as annotation tools export them: "
        + "; ".join(FORMATS.values()),
    )
    parser.set_defaults(run=_train, parser=parser)
    source = {"nargs": "+", "metavar": ("PATH", "SPLIT"), "type": _source}
    parser.add_argument(
        "--train",
        required=True,
        **source,
        help="annotations: what an annotation tool wrote; for Pascal VOC also a list",
    )
    parser.add_argument(
        "--validation",
        **source,
        help="likewise; without it, the part for validation that --train has, or a tenth of it, chosen by --seed",
    )
    parser.add_argument("--test", **source, help="likewise: judged once, at the end, with the best weights")
    _add_data_options(parser)
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="auto",
        help="laptop: from yolo-fastest, in float32, 8 photographs a step; gpu: from yolov3, in the GPU's half "
        "precision, up to 16 photographs a step; auto: gpu where one with 4 GB free is seen (default: %(default)s). "
        "--start, --input-shape, --precision and --batch-size override it",
    )
    parser.add_argument(
        "--minutes",
        type=_positive,
        help="that the training may take: the epochs follow from how long one takes here",
    )
    parser.add_argument(
        "--start",
        default="",
        metavar="NAME_OR_PATH",
        help=f"what to start from: {', '.join(NETWORKS)}, published networks that know COCO's photographs and are "
        "fetched once; micro, the miniature from random weights; smears, the same from the course's own weights, which "
        "know drawn blood smears; the folder of an earlier training; darknet's weights with their cfg beside them; a "
        "cfg (default: by the profile, and where that cannot be fetched, the next smaller one)",
    )
    parser.add_argument(
        "--anchors", type=Path, help="anchors file; without it, those of the start, fitted to the boxes by k-means"
    )
    parser.add_argument(
        "--fine-head",
        choices=("auto", "yes", "no"),
        default="auto",
        help="give a network of darknet's with two heads, such as yolo-fastest, a third one for small objects; auto: "
        "if one box in twenty or more is under some 38 pixels on the input (default: %(default)s)",
    )
    parser.add_argument(
        "--frozen-epochs",
        type=_whole(0),
        help="epochs before, in which only what no weights were loaded into is trained, at 1e-3 (default: a quarter of "
        "--epochs for a large network with weights, else 0)",
    )
    parser.add_argument(
        "--epochs",
        type=_whole(0),
        help="in which all of it is trained (default: by --minutes, or by the number of photographs, 10 to 100)",
    )
    parser.add_argument(
        "--learning-rate",
        type=_positive,
        help="in these epochs (default: 2e-3 from weights for a small network, 1e-4 for a large one; 5e-3 and 1e-3 "
        "from random weights)",
    )
    parser.add_argument(
        "--box-loss",
        choices=("xy_wh", "ciou"),
        default="ciou",
        help="how boxes are compared: by YOLOv3's terms xy and wh, or by CIoU in their place (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="",
        help="what layers compute in: mixed_bfloat16 on GPUs such as A100, H100 and L4 and on TPUs, mixed_float16 on "
        "older ones such as the T4, float32 on processors (default: by the profile)",
    )
    for change, what in (
        ("mirror", "left and right are never exchanged: for arrows, letters, traffic signs"),
        ("colour", "colours and brightness stay: where they tell the classes apart"),
        ("placement", "size, aspect and place stay: for a camera that never moves"),
    ):
        parser.add_argument(f"--no-{change}", action="store_true", help=what)
    parser.add_argument(
        "--batch-size",
        type=_whole(1),
        help="photographs a step; fewer take less memory (default: by the profile)",
    )
    parser.add_argument(
        "--workers",
        type=_whole(1),
        help="threads that read photographs (default: 1, beside a GPU up to 4; more hinder each other)",
    )
    parser.add_argument(
        "--processes",
        type=_whole(1),
        help="processes that read them in place of threads, on Linux: for a GPU that waits for four threads",
    )
    parser.add_argument(
        "--seed",
        type=_whole(0),
        default=0,
        help="fixes what is chosen by chance, such as new weights (default: %(default)s)",
    )
    parser.add_argument("--folder", type=Path, required=True, help="a new folder for the results")
    parser.add_argument(
        "--save-every",
        type=_whole(1),
        metavar="EPOCHS",
        help="from one checkpoint to the next; more for a slow drive (default: 1, for a large network 5)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the training in --folder; give the other options as before"
    )


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    """What `train` and `look` are told of a data set, so that one says what the other will meet."""
    parser.add_argument("--format", choices=FORMATS, help="of the annotations; recognised when not given")
    parser.add_argument("--classes", type=Path, help="text file with a class name a line")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where the photographs lie, if elsewhere")
    parser.add_argument(
        "--zero-area", choices=("error", "skip"), default="error", help="boxes without area (default: %(default)s)"
    )
    parser.add_argument(
        "--outside",
        choices=("error", "clip", "skip"),
        default="error",
        help="boxes that reach outside their photograph by up to a tenth of it (default: %(default)s)",
    )
    parser.add_argument("--allow-empty", action="store_true", help="train even if not one photograph has a box")
    parser.add_argument(
        "--input-shape",
        type=_whole(1),
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of the network's input in pixels (default: by the network, in the photographs' proportions)",
    )


def _data_options(options: argparse.Namespace) -> dict:
    return {
        "format": options.format,
        "class_names": get_classes(options.classes) if options.classes else None,
        "images": options.images,
        "zero_area": options.zero_area,
        "outside": options.outside,
        "allow_empty": options.allow_empty,
    }


def _unpack(*sources: list[Path] | None) -> None:
    """Puts in place of each zip archive the folder beside it that it is unpacked into."""
    for paths in sources:
        if paths and paths[0].suffix.lower() == ".zip":
            paths[0] = bring_photographs(paths[0], paths[0].parent)


def _train(options: argparse.Namespace) -> int:
    if max(len(paths or ()) for paths in (options.train, options.validation, options.test)) > 2:
        options.parser.error("--train, --validation and --test take one path, and for Pascal VOC a split file after it")
    if options.epochs == 0 and not options.frozen_epochs:
        options.parser.error("--epochs and --frozen-epochs are both 0, so that nothing would be trained")
    if options.minutes and (options.epochs is not None or options.frozen_epochs is not None):
        options.parser.error("--minutes chooses the epochs: leave it out, or --epochs and --frozen-epochs")
    if options.processes and options.workers:
        options.parser.error("--processes takes the place of --workers: give one of them")
    if options.processes and multiprocessing.get_start_method() != "fork":  # others import TensorFlow in each of them
        options.parser.error("--processes needs Linux, and Python up to 3.13: give --workers 4 in its place")
    _unpack(options.train, options.validation, options.test)
    keras.utils.set_random_seed(options.seed)
    photographs, validation, test, class_names = _read_parts(options)
    print(f"{len(photographs)} photographs to learn from, {len(validation)} for validation, {len(test)} for the test")
    fine_head = {"auto": None, "yes": True, "no": False}[options.fine_head]
    device = find_device()
    plan = choose_plan(
        options.profile,
        device,
        photographs,
        class_names,
        options.start,
        options.input_shape,
        options.precision,
        options.batch_size,
        anchors_path=options.anchors,
        fine_head=fine_head,
    )
    start, body, heads = plan.start, plan.start.body, plan.start.heads
    print(plan)
    print(f"classes: {', '.join(class_names)}; anchors: {heads.anchors.round().astype(int).tolist()}")
    changes = {name: not getattr(options, f"no_{name}") for name in ("mirror", "colour", "placement")}
    if options.processes:
        reading = {"workers": options.processes, "use_multiprocessing": True}
    else:
        # Four read most, and sixteen on as many cores about half of that (benchmarks/README.md).
        reading = {"workers": options.workers or (min(4, os.cpu_count() or 1) if device.is_gpu else 1)}

    def batches(annotations, augment):
        return YoloDataset(
            annotations,
            heads,
            plan.batch_size,
            augment=augment,
            seed=options.seed,
            targets="boxes",  # the same loss, and less to compute and to copy for every batch
            **reading,
        )

    data, validation_data = batches(photographs, augment=Augmentation(**changes)), batches(validation, augment=False)
    if options.minutes:
        how = {"validation": validation_data, "learning_rate": options.learning_rate}
        stages = choose_stages(plan, data, options.folder, options.minutes, **how)
    else:
        stages = start.stages(len(data), options.epochs, options.frozen_epochs, options.learning_rate)
    has_tensorflow = keras.backend.backend() == "tensorflow"  # which TensorBoard's callback needs
    train(
        body,
        data,
        stages,
        options.folder,
        validation_data,
        class_names,
        callbacks=[TensorBoard(options.folder / "tensorboard")] * has_tensorflow,
        save_every=options.save_every or plan.save_every,
        resume=options.resume,
        box_loss=options.box_loss,
        new_layers=start.new_layers,
        verbose=1 if sys.stdout.isatty() else 2,
    )
    read_weights(body, options.folder / BEST)
    print(f"the best weights: {options.folder / BEST}")
    if test:
        detector = inference_model(body, heads.input_shape)
        scores = judge_test(options.folder, detector, test, heads, class_names)
        found = ", ".join(f"{name} {value:.3f}" for name, value in scores["AP50"].items())
        print(f"AP50 on the test photographs: {found}")
    return 0


def _read_parts(options) -> tuple[list[Annotation], list[Annotation], list[Annotation], list[str]]:
    """The photographs to learn from, those for validation and for the test; and the class names."""
    how = _data_options(options)

    def read(path, split=None):
        return read_annotations(path, split=split, **how | {"class_names": how["class_names"] or class_names})[0]

    class_names = None
    if len(options.train) == 2:
        parts, class_names = read_annotations(options.train[0], split=options.train[1], **how)
        parts = {"train": parts}
    else:
        parts, class_names = read_splits(*options.train, **how)
    photographs = parts.get("train", [])
    if not photographs:
        raise ValueError(f"{options.train[0]} has photographs for {', '.join(parts)} only: give those to learn from.")
    test = read(*options.test) if options.test else parts.get("test", [])
    if options.validation:
        validation = read(*options.validation)
    elif "val" in parts:
        validation = parts["val"]
    else:
        photographs, validation = split_annotations(photographs, 0.1, options.seed)
    for sentence in shared_photographs({"train": photographs, "validation": validation, "test": test}):
        print(f"warning: {sentence}", file=sys.stderr)
    return photographs, validation, test, class_names


def _add_detect(commands) -> None:
    parser = commands.add_parser(
        "detect",
        help="find objects on photographs with a trained network",
        description="Finds objects on photographs with a trained network. For each photograph it writes a picture with "
        "the boxes (.png) and a list of them (.json): class, score, and x_min, y_min, x_max, y_max in pixels.",
    )
    parser.set_defaults(run=_detect, parser=parser)
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--folder", type=Path, metavar="RUN", help="the --folder of a training")
    network.add_argument("--network", choices=NETWORKS, help="a published network with COCO's 80 classes, fetched once")
    network.add_argument("--cfg", type=Path, help="a network of darknet's, together with --weights and --classes")
    parser.add_argument("--weights", type=Path, help="darknet's weights file")
    parser.add_argument("--classes", type=Path, help="darknet's .names file, a class name a line")
    parser.add_argument("photographs", nargs="+", type=Path, metavar="PHOTO_OR_FOLDER", help="a folder stands for all")
    parser.add_argument("--out", type=Path, default=Path("detections"), help="where to write (default: %(default)s)")
    parser.add_argument("--threshold", type=_share, default=0.3, help="least score, 0 to 1 (default: %(default)s)")


def _detect(options: argparse.Namespace) -> int:
    if len({option is None for option in (options.cfg, options.weights, options.classes)}) > 1:
        options.parser.error("--cfg, --weights and --classes go together")
    photos = _photographs(options.photographs, options.out)
    darknet = options.folder is None
    if options.network:
        detector, heads, class_names = _load_darknet(*fetch_network(options.network), DATA / "coco_classes.txt")
    elif darknet:
        detector, heads, class_names = _load_darknet(options.cfg, options.weights, options.classes)
    else:
        detector, heads, class_names = load_detector(options.folder)

    options.out.mkdir(parents=True, exist_ok=True)
    unread = 0
    for number, path in enumerate(photos, start=1):
        if len(photos) > 3:
            end = "\n" if number == len(photos) else ""
            print(f"\r{number} of {len(photos)} photographs", end=end, file=sys.stderr, flush=True)
        try:
            photo = open_image(path)
        except ImageError as error:
            unread += 1
            print(f"\rerror: {error}", file=sys.stderr)
            continue
        (found,) = detect(detector, [photo], heads, options.threshold, darknet=darknet)
        save_boxes(options.out / f"{path.name}.png", photo, found.boxes, found.classes, class_names, found.scores)
        objects = [
            {"class": class_names[c], "score": round(float(score), 4), "box": np.round(box.astype(float), 2).tolist()}
            for box, score, c in zip(*found, strict=True)
        ]
        write_json(options.out / f"{path.name}.json", {"photo": str(path), "objects": objects})
    print(f"{len(photos) - unread} of {len(photos)} photographs: pictures and boxes are in {options.out}")
    return int(unread > 0)


def _photographs(paths: Sequence[Path], out: Path) -> list[Path]:
    """The photographs meant, each of which must have a name of its own: the results are called after them."""
    photos = []
    for path in paths:
        inside = list_files(path, IMAGE_SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise ValueError(f"{path}: no photographs in this folder, expected {', '.join(IMAGE_SUFFIXES)}.")
        photos += inside
    name, count = Counter(photo.name for photo in photos).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{count} photographs are called {name}, and so would be their results: take one at a time.")
    if out.resolve() in {photo.resolve().parent for photo in photos}:
        raise ValueError(f"{out}: the next run would take the pictures there for photographs: choose another --out.")
    return photos


def _add_export(commands) -> None:
    parser = commands.add_parser(
        "export",
        help="hand a trained detector on",
        description="Writes a trained detector as files that need no part of the course (a SavedModel, TFLite, and a "
        "script that uses it), and packs them into a zip with the weights and a page that shows the training.",
    )
    parser.set_defaults(run=_export)
    parser.add_argument("--folder", type=Path, required=True, metavar="RUN", help="the --folder of a training")
    parser.add_argument(
        "--threshold",
        type=_share,
        help="least score of what the script finds, 0 to 1 (default: as in the export before, else 0.3)",
    )


def _export(options: argparse.Namespace) -> int:
    print(f"the detector without the course: {export_detector(options.folder, options.threshold)}")
    print(f"all of it, to hand on: {hand_on(options.folder)}")
    return 0


def _load_darknet(cfg_path: Path, weights_path: Path, classes_path: Path) -> tuple[keras.Model, Heads, list[str]]:
    heads, body, class_names = read_cfg(cfg_path, weights_path), build_body(cfg_path), get_classes(classes_path)
    if len(class_names) != heads.num_classes:
        raise ValueError(
            f"{classes_path}: found {len(class_names)} names, expected {heads.num_classes} as in {cfg_path}."
        )
    loaded, _ = load_weights(body, weights_path)
    if layers_from(body, loaded):
        raise ValueError(f"{weights_path}: holds the first {loaded} convolutions, no trained heads: train them first.")
    return body, heads, class_names
