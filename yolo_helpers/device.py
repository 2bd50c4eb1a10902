"""The device: what this computer trains on, how much memory that has, and in which precision it is fast."""

import functools
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras

GB, MIB = 10**9, 2**20
FIELDS = "name,memory.total,memory.free,compute_cap"


@dataclass(frozen=True)
class Device:
    """A GPU or a processor.

    Attributes:
        name: the GPU's, or how many cores there are.
        is_gpu: whether it is a GPU that Keras' backend sees.
        memory: bytes in all, of the GPU or of the computer; None where nobody says so.
        free: bytes of it that are free, likewise.
        precision: Keras' dtype policy: "float32" on processors; "mixed_bfloat16" on NVIDIA's GPUs from compute
            capability 8.0 on, such as A100 and L4, "mixed_float16" on older ones, such as the T4.
    """

    name: str
    is_gpu: bool
    memory: int | None = None
    free: int | None = None
    precision: str = "float32"

    def __str__(self):
        free = "" if self.free is None else f"{_gigabytes(self.free)} of memory free"
        if not self.is_gpu:
            return ", ".join(filter(None, (self.name, free, "no GPU")))
        memory = "" if self.memory is None else f"{_gigabytes(self.memory)} of memory"
        if memory and free:
            free = f"{_gigabytes(self.free)} of it free"
        return ", ".join(filter(None, (self.name, memory, free)))


def _gigabytes(count: int) -> str:
    return f"{count / GB:.3g} GB"


@functools.cache
def find_device() -> Device:
    """The GPU, if the backend that Keras runs on sees one, else the processor.

    Asked once in a process: what is free then counts, since TensorFlow and JAX soon take nearly all of a GPU for
    themselves, and share it out on their own.
    """
    told = _nvidia_smi()  # before the backend, which JAX makes take memory
    seen = _backends_gpu()
    if seen is None:
        if told:
            backend = keras.backend.backend()
            mend = "use WSL 2 (README)" if sys.platform == "win32" else f"install {backend} with support for CUDA"
            warnings.warn(
                f"There is a GPU here, {told[0]}, but {backend} does not see it: {mend}, or train on the processor.",
                stacklevel=2,
            )
        return _processor()
    name, memory, free, capability = (a if a is not None else b for a, b in zip(told or (None,) * 4, seen, strict=True))
    precision = "float32" if capability is None else "mixed_bfloat16" if capability >= 8 else "mixed_float16"
    return Device(name, True, memory, free, precision)


def _nvidia_smi() -> tuple | None:
    """Name, bytes in all and free, and compute capability of the first visible GPU, as NVIDIA's driver has them."""
    command = ["nvidia-smi", f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        first = visible.split(",")[0].strip()
        if not first:  # so all are hidden
            return None
        command.append(f"--id={first}")
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
        name, *numbers = said.splitlines()[0].rsplit(",", 3)
        total, free, capability = map(_number, numbers)
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):  # no such tool, or it says something else
        return None
    return name.strip(), *(None if mib is None else int(mib * MIB) for mib in (total, free)), capability


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]"
        return None


def _backends_gpu() -> tuple | None:
    """The same of the GPU that Keras' backend computes on, as far as the backend says it; None without a GPU."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(gpu)
            major, minor = details.get("compute_capability", (None, 0))
            return details.get("device_name", "GPU"), None, None, major and major + minor / 10
    elif backend == "jax":
        import jax

        for gpu in jax.devices():
            if gpu.platform == "gpu":
                limit = (gpu.memory_stats() or {}).get("bytes_limit")
                return gpu.device_kind, limit, limit, _number(getattr(gpu, "compute_capability", ""))
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            major, minor = torch.cuda.get_device_capability()
            return torch.cuda.get_device_name(), total, free, major + minor / 10
    return None


def _processor() -> Device:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = free = None
    if sys.platform == "linux":
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        # Not what sysconf calls free: most of the rest holds copies of files, which make room when they must.
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    return Device(f"{cores} processor core{'s' * (cores != 1)}", False, memory, free)
