"""The networks: YOLOv3, its tiny form, and a miniature for laptops. Image in, raw heads out.

Layers, names and order of arguments follow keras-yolo3, so the same layer stands at the same place in `model.layers`.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from yolo_helpers.anchors import ANCHORS_PER_HEAD, grid_shapes

Tensor = Any  # of TensorFlow, JAX or PyTorch, or one that Keras builds a model with
L2 = 5e-4
# Keras' own 0.99 needs some 500 steps before the averages that inference uses are filled; fine-tuning is shorter.
BATCH_NORM_MOMENTUM = 0.9
# Darknet divides by sqrt(variance + 1e-5) on a GPU (blas_kernels.cu), where the weights that people use were trained,
# and its fork AlexeyAB/darknet on a CPU too. (Darknet on a CPU divides by sqrt(variance) + 1e-6, which makes the
# difference in layers that hardly vary.) With Keras' own 1e-3 a network gives other raw outputs, by up to 1.
BATCH_NORM_EPSILON = 1e-5
EPSILON_HERE = 1e-7  # of the bodies in this module: data/smears.weights and the lessons' records were trained with it
# Few slots hold an object, so an untrained head starts by saying so: sigmoid(bias) = 0.01 (arXiv:1708.02002, 3.3).
OBJECTNESS_AT_START = 0.01


def yolo_body(inputs: Tensor, num_anchors: int, num_classes: int) -> keras.Model:
    """YOLOv3 on Darknet-53: 61.7 million parameters with 20 classes.

    Args:
        inputs: keras.Input of shape (h, w, 3) with values 0 to 1; h and w multiples of 32 or None.
        num_anchors: anchors of each head, 3.
        num_classes: C.

    Returns:
        A model with three outputs (B, h, w, num_anchors (5 + C)) of stride 32, 16 and 8.
    """
    x = _conv(inputs, 32, 3)
    heads = _three_heads(x, num_anchors, num_classes, (32, 64, 128, 256, 512, 1024), blocks=(1, 2, 8, 8, 4), pairs=2)
    return body_of_heads(inputs, heads, num_anchors, num_classes)


def micro_yolo_body(inputs: Tensor, num_anchors: int, num_classes: int) -> keras.Model:
    """YOLOv3 in miniature, with the same three heads: 0.3 million parameters, trained on a laptop in a minute.

    It has no layer at full resolution. Arguments and outputs are those of `yolo_body`.
    """
    heads = _three_heads(inputs, num_anchors, num_classes, (8, 8, 24, 48, 64, 96), blocks=(0, 0, 1, 1, 1), pairs=0)
    return body_of_heads(inputs, heads, num_anchors, num_classes)


def tiny_yolo_body(inputs: Tensor, num_anchors: int, num_classes: int) -> keras.Model:
    """YOLOv3-tiny: 8.7 million parameters with 20 classes, two heads of stride 32 and 16.

    Arguments are those of `yolo_body`.
    """
    x = _conv(inputs, 16, 3)
    for filters in (32, 64, 128, 256):
        x = _conv(layers.MaxPooling2D(2)(x), filters, 3)
    fine = x
    x = _conv(layers.MaxPooling2D(2)(x), 512, 3)
    x = layers.MaxPooling2D(2, strides=1, padding="same")(x)
    x = _conv(_conv(x, 1024, 3), 256, 1)
    coarse_head = _head(_conv(x, 512, 3), num_anchors, num_classes)
    x = layers.UpSampling2D(2)(_conv(x, 128, 1))
    fine_head = _head(_conv(layers.Concatenate()([x, fine]), 256, 3), num_anchors, num_classes)
    return body_of_heads(inputs, [coarse_head, fine_head], num_anchors, num_classes)


BODIES = {"yolo": yolo_body, "tiny": tiny_yolo_body, "micro": micro_yolo_body}


def yolo_head(
    feats: Tensor, anchors: np.ndarray, num_classes: int, input_shape: Sequence[int], calc_loss: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes from the raw outputs of one head: sigmoid for centre and scores, exp for the size (arXiv:1804.02767, 2.1).

    Args:
        feats: (B, h, w, 3 (5 + C)), the raw output.
        anchors: (3, 2), this head's anchors, width and height in pixels of the input.
        num_classes: C.
        input_shape: (height, width) of the input in pixels.
        calc_loss: return what the loss needs instead.

    Returns:
        box_xy and box_wh (B, h, w, 3, 2) as fractions of the input, box_confidence (B, h, w, 3, 1) and
        box_class_probs (B, h, w, 3, C); with calc_loss: grid (h, w, 1, 2), each slot's grid square as (column, row),
        feats (B, h, w, 3, 5 + C), box_xy and box_wh.

    Example:
        Where all raw numbers are 0, each slot of a grid of 1 x 2 squares predicts its anchor in the middle of its own.

        >>> anchors = np.array([[8, 8], [16, 32], [32, 16]])
        >>> xy, wh, *_ = yolo_head(np.zeros((1, 1, 2, 18), np.float32), anchors, num_classes=1, input_shape=(32, 64))
        >>> ops.convert_to_numpy(xy[0, 0, 1, 0]).tolist(), ops.convert_to_numpy(wh[0, 0, 1, 1]).tolist()
        ([0.75, 0.5], [0.25, 1.0])
    """
    rows, columns = ops.shape(feats)[1:3]
    feats = ops.reshape(feats, (-1, rows, columns, len(anchors), 5 + num_classes))
    grid = ops.stack(ops.meshgrid(ops.arange(columns), ops.arange(rows)), axis=-1)[:, :, None]
    grid = ops.cast(grid, feats.dtype)
    cells = ops.cast([columns, rows], feats.dtype)
    pixels = ops.cast([input_shape[1], input_shape[0]], feats.dtype)

    box_xy, box_wh = decode_boxes(feats, grid, cells, ops.cast(anchors, feats.dtype) / pixels)
    if calc_loss:
        return grid, feats, box_xy, box_wh
    return box_xy, box_wh, ops.sigmoid(feats[..., 4:5]), ops.sigmoid(feats[..., 5:])


def decode_boxes(raw: Tensor, cell: Tensor, cells: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes from raw numbers: sigmoid for the centre, exp for the size (arXiv:1804.02767, 2.1).

    Args:
        raw: (..., 4 or more), of each slot; the first four count.
        cell: (..., 2), column and row of the slot's grid square.
        cells: (..., 2), columns and rows of its grid.
        anchor: (..., 2), width and height of its anchor as fractions of the input.

    Returns:
        Centre and size (..., 2) as fractions of the input.
    """
    return (ops.sigmoid(raw[..., 0:2]) + cell) / cells, ops.exp(raw[..., 2:4]) * anchor


@keras.saving.register_keras_serializable(package="yolo_helpers")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras' BatchNormalization, which in training reads and writes the whole tensor less often.

    On TensorFlow in float32 it is one operation in place of some twenty. In Yolo-Fastest, a network of narrow layers,
    that was a third of a step on a processor. Elsewhere the variance is E[x^2] - E[x]^2, for which one reading of the
    tensor is enough, and another is spared on the way back; XLA joins the rest by itself. What that is worth in YOLOv3
    on a GPU stands in benchmarks/README.md too.
    """

    def call(self, inputs, training=None, mask=None):
        """As in `keras.layers.BatchNormalization`."""
        if not training or not self.trainable or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        if keras.backend.backend() == "tensorflow" and inputs.dtype == "float32":
            import tensorflow as tf

            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            count = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
            variance *= (count - 1) / count  # of the numbers at hand, as Keras has it, not the estimate for all others
        else:
            x = ops.cast(inputs, "float32")
            axes = tuple(range(len(x.shape) - 1))
            mean = ops.mean(x, axes)
            # Rounding must not make it negative.
            variance = ops.relu(ops.mean(ops.square(x), axes) - ops.square(mean))
            outputs = ops.batch_normalization(x, mean, variance, -1, self.beta, self.gamma, self.epsilon)
            outputs = ops.cast(outputs, self.compute_dtype)
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
        return outputs


def inference_model(body: keras.Model, input_shape: tuple[int, int]) -> keras.Model:
    """The body behind the layer that scales pixels: uint8 photograph in, raw heads out. Weights are shared.

    Args:
        body: image 0..1 in, raw heads out.
        input_shape: (height, width) in pixels, multiples of 32.

    Raises:
        ValueError: if a side is not a multiple of 32.
    """
    grid_shapes(input_shape, len(body.outputs))
    image = keras.Input((*input_shape, 3), dtype="uint8", name="image")
    return keras.Model(image, body(layers.Rescaling(1 / 255, name="to_0_1")(image)), name="detector")


def read_weights(model: keras.Model, path: str | Path) -> None:
    """Weights into a model, from a file that Keras wrote (.weights.h5).

    Args:
        model: of the same layers as the one that was saved. It may be changed in part if the file does not fit.
        path: the file.

    Raises:
        ValueError: if the file is missing, cut off, or of another network.
    """
    try:
        model.load_weights(path)
    except Exception as error:  # a damaged file makes HDF5 and Keras raise nearly anything
        if not Path(path).is_file():
            reason = "there is no such file"
        elif isinstance(error, OSError):
            reason = "it is cut off, or not a file of Keras' weights"
        else:
            reason = "it holds the weights of another network"
        raise ValueError(
            f"{path}: the weights cannot be loaded ({reason}): copy the file again, or give one of a training with the "
            "same body and as many classes."
        ) from error


def _three_heads(x, num_anchors, num_classes, widths, blocks, pairs):
    """Five stages that halve the resolution, with residual blocks; then a head on each of the last three.

    Args:
        x: what the first stage starts from.
        num_anchors, num_classes: as in `yolo_body`.
        widths: channels before the first stage and after each.
        blocks: of each stage.
        pairs: of convolutions (1x1 narrow, 3x3 wide) before each head, in addition to the last one.
    """
    ends = []  # of the stages with stride 2, 4, 8, 16, 32
    for (narrow, wide), count in zip(pairwise(widths), blocks, strict=True):
        # Padding above and left only, as darknet does it.
        x = _conv(layers.ZeroPadding2D(((1, 0), (1, 0)))(x), wide, 3, strides=2)
        for _ in range(count):
            x = layers.Add()([x, _conv(_conv(x, narrow, 1), wide, 3)])
        ends.append(x)

    heads = []
    for stage in (4, 3, 2):  # stride 32, 16, 8
        narrow, wide = widths[stage], widths[stage + 1]
        if heads:
            x = layers.Concatenate()([layers.UpSampling2D(2)(_conv(x, narrow, 1)), ends[stage]])
        for _ in range(pairs):
            x = _conv(_conv(x, narrow, 1), wide, 3)
        x = _conv(x, narrow, 1)
        heads.append(_head(_conv(x, wide, 3), num_anchors, num_classes))
    return heads


def _conv(x, filters, kernel, strides=1):
    """Convolution without bias, batch normalisation, leaky ReLU."""
    x = layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="valid" if strides == 2 else "same",
        use_bias=False,
        kernel_regularizer=keras.regularizers.L2(L2),
    )(x)
    x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, epsilon=EPSILON_HERE)(x)
    return layers.LeakyReLU(negative_slope=0.1)(x)


def _head(x, num_anchors, num_classes, name=None):
    regularizer = keras.regularizers.L2(L2)
    return layers.Conv2D(num_anchors * (5 + num_classes), 1, kernel_regularizer=regularizer, name=name)(x)


def output_convolutions(body: keras.Model) -> list[keras.Layer]:
    """The layers that give a body's outputs, in their order. (In a cfg they need not be the last: a route may go on.)

    Args:
        body: image in, raw heads out.
    """
    return [next(layer for layer in body.layers if layer.output is head) for head in body.outputs]


def with_heads(body: keras.Model, num_classes: int | None, input_shape: tuple[int, int]) -> keras.Model:
    """The layers and weights of a body behind an input of another size, with new output convolutions.

    Computes in the precision that Keras is set to (`keras.config.set_dtype_policy`).

    Args:
        body: image in, raw heads with three anchors each out.
        num_classes: C of the new heads; None: the heads stay as they are.
        input_shape: (height, width) in pixels, multiples of 32.

    Returns:
        A body of its own, which shares no weights with the first.
    """

    def renewed(layer):  # in today's precision, not in that of an earlier training
        return type(layer).from_config(layer.get_config() | {"dtype": keras.config.dtype_policy().name})

    copy = keras.models.clone_model(body, input_tensors=keras.Input((*input_shape, 3)), clone_function=renewed)
    copy.set_weights(body.get_weights())
    if num_classes is None:
        return copy
    # Under the same names, which tell darknet's order (see `darknet`).
    heads = [
        _head(convolution.input, ANCHORS_PER_HEAD, num_classes, convolution.name)
        for convolution in output_convolutions(copy)
    ]
    return body_of_heads(copy.input, heads, ANCHORS_PER_HEAD, num_classes)


def with_fine_head(body: keras.Model, num_classes: int) -> keras.Model:
    """A body with two heads, and a third one of stride 8 for small objects.

    It sees the last features of that stride beside those of the head before, as YOLOv3's third head does, through a
    depthwise and a 1x1 convolution.

    Args:
        body: of `build_body`: image in, two raw heads of stride 32 and 16 with three anchors each out. Its layers are
            shared.
        num_classes: C.

    Returns:
        A body with three heads. What is new in it has no weights from anywhere.

    Raises:
        ValueError: if the body has no layer of stride 8.
    """
    rows, columns = (2 * side for side in body.outputs[-1].shape[1:3])
    fine = [
        layer.output
        for layer in body.layers
        if layer.output.shape[1:3] == (rows, columns) and not isinstance(layer, layers.ZeroPadding2D)
    ]
    if not fine:
        raise ValueError("The network has no layer of stride 8, which a third head needs: leave that out.")
    x = layers.Concatenate()([layers.UpSampling2D(2)(output_convolutions(body)[-1].input), fine[-1]])
    # Numbers behind those of all convolutions, which tell darknet's order (see `darknet`).
    first = 1 + max(
        int(layer.name.removeprefix("conv2d_")) for layer in body.layers if layer.name.startswith("conv2d_")
    )
    regularizer = keras.regularizers.L2(L2)
    settings = {"padding": "same", "use_bias": False}
    for number, convolution in (
        (first, layers.DepthwiseConv2D(5, depthwise_regularizer=regularizer, name=f"conv2d_{first}", **settings)),
        (first + 1, layers.Conv2D(96, 1, kernel_regularizer=regularizer, name=f"conv2d_{first + 1}", **settings)),
    ):
        norm = {"momentum": BATCH_NORM_MOMENTUM, "epsilon": BATCH_NORM_EPSILON}
        x = FusedBatchNormalization(name=f"batch_normalization_{number}", **norm)(convolution(x))
        x = layers.LeakyReLU(negative_slope=0.1)(x)
    head = _head(x, ANCHORS_PER_HEAD, num_classes, f"conv2d_{first + 2}")
    return body_of_heads(body.input, [*body.outputs, head], ANCHORS_PER_HEAD, num_classes)


def body_of_heads(inputs: Tensor, heads: list[Tensor], num_anchors: int, num_classes: int) -> keras.Model:
    """A body from its input and heads, whose untrained slots say that they hold an object with one per cent.

    Args:
        inputs: keras.Input of shape (h, w, 3).
        heads: the outputs of the output convolutions, (B, h, w, num_anchors (5 + C)) each.
        num_anchors, num_classes: as in `yolo_body`.
    """
    body = keras.Model(inputs, heads)
    for convolution in output_convolutions(body):
        bias = np.zeros((num_anchors, 5 + num_classes), np.float32)
        bias[:, 4] = np.log(OBJECTNESS_AT_START / (1 - OBJECTNESS_AT_START))
        convolution.bias.assign(bias.ravel())
    return body
