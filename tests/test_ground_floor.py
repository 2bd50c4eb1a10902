"""The package's ground floor needs neither Keras nor TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ["keras", "tensorflow", "jax", "torch", "matplotlib", "pycocotools"]


@pytest.mark.parametrize("module", ["boxes", "anchors", "annotations", "smear"])
def test_imports_numpy_and_pillow_at_most(module):
    # A fresh process: in this one another test may have imported Keras already.
    code = f"import sys, yolo_helpers.{module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
