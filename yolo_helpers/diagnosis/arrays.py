"""A file of weights and a model compared by the values of their arrays, whatever way the file was loaded."""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import ml_dtypes
import numpy as np

OPTIMIZER = ("optimizer", "optimizer_weights")  # the groups of its arrays in Keras' files


class ArraysTaken(NamedTuple):
    """Which arrays of a file a model has.

    Attributes:
        file: that was compared.
        taken: names and shapes of its arrays that a variable of the model equals.
        not_taken: names and shapes of the others.
        not_in_file: paths and shapes of the model's variables that no array of the file equals.
    """

    file: Path
    taken: list[tuple[str, tuple[int, ...]]]
    not_taken: list[tuple[str, tuple[int, ...]]]
    not_in_file: list[tuple[str, tuple[int, ...]]]

    def __str__(self):
        count = len(self.taken) + len(self.not_taken)
        lines = [f"The model has {len(self.taken)} of the {count} arrays in {self.file.name}."]
        for what, pairs in (("Not taken", self.not_taken), ("In the model but not in the file", self.not_in_file)):
            if pairs:
                lines += [f"{what}:", *(f"  {name} {shape}" for name, shape in pairs)]
        return "\n".join(lines)


def compare_weights(model: Any, file: str | Path) -> ArraysTaken:
    """Which arrays of a file of weights a model has taken, after they were loaded.

    An array counts as taken where a variable of the model has its shape and equals it in every number, so neither the
    way of loading matters nor what the layers are called. A model of half precision rounds what it takes, which counts
    as equal. Two arrays that changed places are not noticed.

    Args:
        model: of Keras, or of tf_keras.
        file: `.weights.h5`, `.keras`, or the older `.h5`; what the optimiser keeps there is left out.

    Raises:
        ValueError: if the file is missing, damaged or none of these.

    >>> import keras, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "two.weights.h5"
    >>> make = lambda classes: keras.Sequential([keras.Input((4,)), *map(keras.layers.Dense, (8, classes))])
    >>> make(2).save_weights(file)
    >>> model = make(3)
    >>> model.load_weights(file, skip_mismatch=True)
    >>> found = compare_weights(model, file)
    >>> [shape for name, shape in found.taken], [shape for name, shape in found.not_taken]
    ([(4, 8), (8,)], [(8, 2), (2,)])
    """
    arrays, weights = _arrays(Path(file)), [(v, v.numpy()) for v in model.weights]
    halves = {array.dtype for _, array in weights if array.dtype.itemsize == 2}
    keys = {name: {_key(array), *(_key(array.astype(half)) for half in halves)} for name, array in arrays.items()}
    in_file, in_model = set().union(*keys.values()), {_key(array) for _, array in weights}
    taken = {name: bool(of_array & in_model) for name, of_array in keys.items()}
    return ArraysTaken(
        Path(file),
        [(name, array.shape) for name, array in arrays.items() if taken[name]],
        [(name, array.shape) for name, array in arrays.items() if not taken[name]],
        [(getattr(v, "path", v.name), array.shape) for v, array in weights if _key(array) not in in_file],
    )


def _key(array: np.ndarray) -> tuple:
    """The same for equal arrays alone; bytes, since NaN does not equal itself."""
    return array.shape, array.astype(np.float32).tobytes()


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their names in it, without the optimiser's."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and name.split("/")[0] not in OPTIMIZER:
            bfloat16 = item.attrs.get("dtype") == "bfloat16"  # which HDF5 does not know
            found[name] = item[()].view(ml_dtypes.bfloat16) if bfloat16 else item[()]

    try:
        content = file.read_bytes()
        if zipfile.is_zipfile(io.BytesIO(content)):
            content = zipfile.ZipFile(io.BytesIO(content)).read("model.weights.h5")
        with h5py.File(io.BytesIO(content)) as opened:
            opened.visititems(visit)
    except (OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        reason = "there is no such file" if not file.is_file() else f"it is damaged or of another kind ({error!s:.60})"
        raise ValueError(
            f"{file}: no weights were read, {reason}: give a .weights.h5, .keras or .h5 of Keras."
        ) from error
    return found
