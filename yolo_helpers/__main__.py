"""`python -m yolo_helpers`: the commands, with one sentence for what the reader can mend."""

import os
import sys
import warnings

# What TensorFlow says of processors and of drivers that are not there; an error that ends something is raised too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from yolo_helpers.commands import main

# Windows writes into a file in cp1252, which lacks most letters: a class name is then spelt out as in "\u732b", as
# Python does by itself on stderr, and no training ends for it.
sys.stdout.reconfigure(errors="backslashreplace")
warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"  # the place in the code helps nobody here
try:
    sys.exit(main())
except (ValueError, OSError, MemoryError) as error:
    sys.exit(f"error: {error}")
except KeyboardInterrupt:
    sys.exit("stopped: what was written so far is whole; a training goes on after its last whole epoch with --resume")
