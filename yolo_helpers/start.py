"""What a training starts from: a published network, one's own earlier one, or random weights; and how it goes on then.

A network that has been trained on COCO's photographs knows edges, textures and parts of things. Its heads know COCO's
80 classes, so they are made anew, and all else is taken over. How it is trained then depends on how large it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from yolo_helpers.anchors import (
    ANCHORS_PER_HEAD,
    DATA,
    Heads,
    anchor_iou,
    box_sizes,
    default_anchors,
    fitting_shape,
    get_anchors,
    grid_shapes,
    kmeans_anchors,
)
from yolo_helpers.annotations import Annotation, get_classes
from yolo_helpers.darknet import build_body, layers_from, load_weights, read_cfg
from yolo_helpers.download import NETWORKS, fetch_network
from yolo_helpers.model import micro_yolo_body, output_convolutions, with_fine_head, with_heads
from yolo_helpers.run_folder import BEST, SETTINGS, load_body
from yolo_helpers.training import Stage

MICRO, SMEARS = "micro", "smears"
SMALL = 5_000_000  # parameters; what has fewer is trained on a laptop
SMALL_AREA = 320**2  # pixels of the input of a small network, unless another is asked for
AREA = 416**2  # likewise, at most, of other networks: keras-yolo3's
SMALL_OBJECTS = 0.05  # of all boxes; where as many are small, a network with two heads gets a third


@dataclass(frozen=True)
class Start:
    """A body to train, and how.

    Attributes:
        body: image 0..1 in, raw heads out.
        heads: of the body; anchors fitted to the photographs.
        description: where the weights come from, in words.
        name: what it was chosen by, as `start_from` takes it.
        new_layers: those that no weights were loaded into; None where that is all of them.
    """

    body: keras.Model
    heads: Heads
    description: str
    name: str
    new_layers: list[keras.Layer] | None = None

    @property
    def small(self) -> bool:
        """Whether it is a network for a laptop."""
        return self.body.count_params() < SMALL

    def stages(
        self,
        batches: int,
        epochs: int | None = None,
        frozen_epochs: int | None = None,
        learning_rate: float | None = None,
    ) -> list[Stage]:
        """How a training from here goes on, but for what is given.

        A small network with weights from elsewhere is trained as a whole from the first step on, at 2e-3. A large one
        is trained as keras-yolo3 does it: at first its new layers alone, at 1e-3, then all of it at 1e-4. From random
        weights all is trained at once, at 5e-3 or, a large network, 1e-3. Epochs: as many as 600 batches need, 1500 for
        a large network or random weights, but 10 to 100.

        Args:
            batches: of an epoch.
            epochs, learning_rate: of the stage that trains all layers.
            frozen_epochs: of the stage before, which trains the new layers alone.

        Raises:
            ValueError: for frozen epochs where no layer is new.
        """
        small, random = self.small, self.new_layers is None
        steps = 1500 if random or not small else 600
        if frozen_epochs and self.new_layers == []:
            raise ValueError("All weights were taken over, so --frozen-epochs would train nothing: leave it out.")
        epochs = int(np.clip(-(-steps // batches), 10, 100)) if epochs is None else epochs
        if frozen_epochs is None:
            frozen_epochs = 0 if small or not self.new_layers else max(1, epochs // 4)
        if learning_rate is None:
            learning_rate = (5e-3 if random else 2e-3) if small else (1e-3 if random else 1e-4)
        stages = [Stage(frozen_epochs, 1e-3, frozen=True), Stage(epochs, learning_rate)]
        return [stage for stage in stages if stage.epochs > 0]


def start_from(
    start: str | Path,
    photographs: Sequence[Annotation],
    class_names: Sequence[str],
    input_shape: tuple[int, int] | None = None,
    anchors_path: str | Path | None = None,
    fine_head: bool | None = None,
) -> Start:
    """A body for one's own classes, with all weights that can be taken over.

    Args:
        start: a name of `yolo_helpers.download.NETWORKS`, which is fetched if need be; "micro", the miniature from
            random weights; "smears", the same with the weights that come with the course, from drawn blood smears, and
            with new heads; or a path: of a training's folder; of darknet's weights, or of a folder with them and their
            cfg; of a cfg alone, for random weights.
        photographs: to learn from.
        class_names: in order. An earlier training with the same ones goes on with its heads, anchors and input, and so
            does a network of darknet's, at a path, with as many.
        input_shape: (height, width) in pixels, multiples of 32; when None as many pixels as the network was made for,
            up to 416 x 416, in the photographs' proportions.
        anchors_path: file of anchors; when None the network's own, fitted to the boxes by k-means.
        fine_head: add a head of stride 8 to a network of darknet's with two, if its heads are made anew; when None,
            where one box in twenty or more is of a size for it.

    Raises:
        ValueError: if there is no such network, its files cannot be had or do not fit, or it can have no third head.
    """
    classes, path = len(class_names), Path(start)
    keeps_heads = gets_head = False
    if input_shape is not None:
        grid_shapes(input_shape, 1)  # before anything is fetched
    if start == MICRO:
        input_shape = input_shape or fitting_shape(photographs, SMALL_AREA)
        body = micro_yolo_body(keras.Input((*input_shape, 3)), ANCHORS_PER_HEAD, classes)
        anchors, new_layers, description = default_anchors(len(body.outputs)), None, "random weights"
    elif start not in (*NETWORKS, SMEARS) and (run := _run_of(path)):
        old, heads, names = load_body(run)
        keeps_heads = list(names) == list(class_names)
        area = heads.input_shape[0] * heads.input_shape[1]
        input_shape = input_shape or (heads.input_shape if keeps_heads else fitting_shape(photographs, area))
        body = with_heads(old, None if keeps_heads else classes, input_shape)
        anchors, new_layers = _by_head(heads), [] if keeps_heads else output_convolutions(body)
        description = f"the training in {run}, {'heads included' if keeps_heads else 'all but its heads'}"
    else:
        if start in NETWORKS:
            cfg_path, weights = fetch_network(start)
        else:
            cfg_path, weights = _darknets_files(DATA / "smears.weights" if start == SMEARS else path)
        cfg = read_cfg(cfg_path)
        known = get_classes(DATA / "coco_classes.txt") if start in NETWORKS else class_names
        same = start != SMEARS and cfg.num_classes == classes and list(known) == list(class_names)
        keeps_heads = same and weights is not None and _holds_heads(cfg_path, weights)
        if keeps_heads:
            cfg = read_cfg(cfg_path, weights)  # with the masks that these heads were trained with
        area = min(AREA, cfg.input_shape[0] * cfg.input_shape[1])
        input_shape = input_shape or (cfg.input_shape if keeps_heads else fitting_shape(photographs, area))
        body, anchors = build_body(cfg_path, classes, input_shape), _by_head(cfg)
        new_layers, description = None, f"random weights, layers of {cfg_path}"
        if weights:
            count, _ = load_weights(body, weights, but_heads=not keeps_heads)
            new = layers_from(body, count) + ([] if keeps_heads else output_convolutions(body))
            new_layers = list({id(layer): layer for layer in new}.values())
            what = start if start in (*NETWORKS, SMEARS) else weights
            description = f"{what}, {'heads included' if keeps_heads else 'all but its heads'}"
        if len(body.outputs) == 2 and not keeps_heads:
            gets_head = has_small_objects(box_sizes(photographs, input_shape)) if fine_head is None else fine_head
        if gets_head:
            before = set(map(id, body.layers))
            body, anchors = with_fine_head(body, classes), default_anchors(3)
            if weights:
                new_layers += [layer for layer in body.layers if id(layer) not in before]
            description += ", and a third head for small objects"
    if fine_head and not gets_head:
        raise ValueError(
            "A third head can be given to a network of darknet's with two heads that are made anew: leave it out "
            "(--fine-head), or start from another network."
        )
    if anchors_path is not None:
        given = get_anchors(anchors_path)
        if len(given) != len(anchors):
            raise ValueError(
                f"{anchors_path}: found {len(given)} anchors, expected {len(anchors)}, since the network of --start "
                f"has {len(body.outputs)} heads{' (with --fine-head no it has two)' if gets_head else ''}."
            )
        anchors = given
    elif not keeps_heads:
        anchors = kmeans_anchors(box_sizes(photographs, input_shape), anchors)
    return Start(body, Heads(input_shape, anchors, classes), description, str(start), new_layers)


def _run_of(path: Path) -> Path | None:
    """The folder of the training that a path names, itself or its best weights, if there is one."""
    if path.is_file() and path.suffix == ".h5":
        if path.name != BEST or not (path.parent / SETTINGS).is_file():
            raise ValueError(f"{path}: give the folder of a training, with {BEST} and {SETTINGS} in it.")
        return path.parent
    return path if (path / SETTINGS).is_file() else None


def _holds_heads(cfg_path: Path, weights: Path) -> bool:
    """Whether a weights file fits a cfg wholly, and does not end before the heads or have those of other classes."""
    body = build_body(cfg_path)
    try:
        count, _ = load_weights(body, weights)
    except ValueError:
        return False
    return not set(map(id, layers_from(body, count))) & set(map(id, output_convolutions(body)))


def has_small_objects(sizes: np.ndarray) -> bool:
    """Whether one box in twenty or more is of a size for a head of stride 8.

    Args:
        sizes: (N, 2), width and height of the boxes in pixels of the network's input.
    """
    small = anchor_iou(sizes, default_anchors(3)).argmax(1) < ANCHORS_PER_HEAD
    return bool(small.sum() >= SMALL_OBJECTS * max(1, len(small)))


def _darknets_files(path: Path) -> tuple[Path, Path | None]:
    """The cfg, and the weights if there are any, that a path stands for."""
    if not path.exists():
        raise ValueError(
            f"{path}: there is no such file or folder, nor a published network of this name: give one of "
            f"{', '.join((*NETWORKS, MICRO, SMEARS))}, or a path."
        )
    if path.is_dir():
        cfgs, weights = sorted(path.glob("*.cfg")), sorted(path.glob("*.weights"))
        if len(cfgs) != 1 or len(weights) != 1:
            raise ValueError(
                f"{path} holds {len(cfgs)} .cfg and {len(weights)} .weights, and no {SETTINGS} of a training: give the "
                "path of one .weights file."
            )
        return cfgs[0], weights[0]
    if path.suffix == ".cfg":
        return path, None
    # darknet53.conv.74 holds the first layers of yolov3, as yolov3-tiny.conv.15 does of yolov3-tiny.
    names = [path.stem, path.name.partition(".conv.")[0].replace("darknet53", "yolov3")]
    beside = [path.with_name(f"{name}.cfg") for name in names]
    found = [cfg for cfg in beside if cfg.is_file()] or sorted(path.parent.glob("*.cfg"))
    if not found or found[0] not in beside and len(found) > 1:
        raise ValueError(f"{path}: its cfg is not beside it: put it there as {beside[0].name}.")
    return found[0], path


def _by_head(heads: Heads) -> np.ndarray:
    """The anchors in the order of darknet's own masks: three of the finest head first."""
    if len(heads.anchor_mask[0]) != ANCHORS_PER_HEAD:
        raise ValueError(
            f"The network of --start has {len(heads.anchor_mask[0])} anchors a head, and a training here takes "
            f"{ANCHORS_PER_HEAD}: give another network."
        )
    return heads.anchors[np.concatenate(heads.anchor_mask[::-1])]
