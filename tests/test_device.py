"""The device: a GPU as NVIDIA's tool and the backend describe it, or the processor."""

import os
import stat
import sys
import warnings

import keras
import pytest

from yolo_helpers import device
from yolo_helpers.device import Device, find_device

MIB = 2**20


@pytest.fixture(autouse=True)
def asked_anew():
    find_device.cache_clear()
    yield
    find_device.cache_clear()


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Puts an nvidia-smi on the path that prints some lines, its arguments into a file, and exits with a status."""
    if sys.platform == "win32":
        pytest.skip("Windows starts no shell script")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def put(lines, status=0):
        script = tmp_path / "nvidia-smi"
        script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat <<END\n{lines}\nEND\nexit {status}\n')
        script.chmod(script.stat().st_mode | stat.S_IEXEC)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path / "arguments"

    return put


@pytest.fixture
def seen(monkeypatch):
    """Lets the backend see a GPU of which it knows this."""
    return lambda *known: monkeypatch.setattr(device, "_backends_gpu", lambda: known)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Tesla T4, 15360, 14913, 7.5", Device("Tesla T4", True, 15360 * MIB, 14913 * MIB, "mixed_float16")),
        (
            "NVIDIA A100-SXM4-40GB, 40960, 40500, 8.0\nTesla T4, 15360, 14913, 7.5",
            Device("NVIDIA A100-SXM4-40GB", True, 40960 * MIB, 40500 * MIB, "mixed_bfloat16"),
        ),
        ("A, B, 1024, [N/A], 9.0", Device("A, B", True, 1024 * MIB, 7, "mixed_bfloat16")),
    ],
)
def test_a_gpu_as_nvidias_tool_says(tool, seen, line, expected):
    tool(line)
    seen("GPU", 5, 7, None)
    assert find_device() == expected


def test_of_several_the_first_that_is_visible_is_asked_for(tool, seen, monkeypatch):
    arguments = tool("Tesla T4, 15360, 14913, 7.5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    seen("GPU", None, None, None)
    find_device()
    assert "--id=2" in arguments.read_text().split()


@pytest.mark.parametrize(("lines", "status"), [("No devices were found", 6), ("", 0), ("nonsense", 0)])
def test_without_the_tools_answer_the_backends_counts(tool, seen, lines, status):
    tool(lines, status)
    seen("Radeon", 5, 3, None)
    assert find_device() == Device("Radeon", True, 5, 3, "float32")


def test_a_gpu_that_the_backend_does_not_see_is_none(tool):
    tool("Tesla T4, 15360, 14913, 7.5")
    with pytest.warns(UserWarning, match="Tesla T4.*does not see it"):
        found = find_device()
    assert (found.is_gpu, found.precision) == (False, "float32")


@pytest.mark.parametrize(("platform", "mend"), [("darwin", "CUDA"), ("win32", "WSL")])
def test_the_mend_is_one_for_this_system(tool, monkeypatch, platform, mend):
    tool("Tesla T4, 15360, 14913, 7.5")
    monkeypatch.setattr(device.sys, "platform", platform)
    with pytest.warns(UserWarning, match=mend):
        find_device()


@pytest.mark.parametrize("visible", ["", ",1"])
def test_a_gpu_that_the_reader_hid_is_not_missed(tool, monkeypatch, visible):
    tool("Tesla T4, 15360, 14913, 7.5")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not find_device().is_gpu


def test_the_processor_of_this_computer(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_device()
    assert keras.backend.backend() == "tensorflow" and not found.is_gpu
    if sys.platform == "linux":
        assert found.name.split()[0] == str(len(os.sched_getaffinity(0)))
        assert 0 < found.free < found.memory
    else:
        assert found.name.split()[0] == str(os.cpu_count())
        assert (found.memory, found.free) == (None, None)


def test_what_was_free_at_first_counts(tool, seen):
    tool("Tesla T4, 15360, 14913, 7.5")
    seen("GPU", None, None, None)
    first = find_device()
    tool("Tesla T4, 15360, 200, 7.5")  # the rest is TensorFlow's now
    assert find_device() == first


@pytest.mark.parametrize(
    ("device", "parts"),
    [
        (Device("Tesla T4", True, 16 * 10**9, 15_640_000_000, "mixed_float16"), ["Tesla T4", "16 GB", "15.6 GB"]),
        (Device("2 processor cores", False, 24 * 10**9, 21 * 10**9), ["2 processor cores", "21 GB", "no GPU"]),
        (Device("Radeon", True), ["Radeon"]),
        (Device("8 processor cores", False), ["8 processor cores", "no GPU"]),
    ],
)
def test_one_line_for_the_reader(device, parts):
    line = str(device)
    assert "\n" not in line and "None" not in line and all(part in line for part in parts)
