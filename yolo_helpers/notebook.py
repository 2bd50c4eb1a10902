"""A notebook shows what the reader can mend as one sentence, as a shell does."""

import sys
from pathlib import Path

MENDABLE = (ValueError, OSError, MemoryError)
PACKAGE = Path(__file__).parent


def plain_errors() -> None:
    """From now on an error that this package raises for the reader to mend is shown as its sentence alone.

    The cell fails all the same, so that "Run all" stops there. Any other error is shown as usual, one from the reader's
    own code among them, and one that another library raises while this package uses it. Outside IPython nothing
    changes.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if shell:
        shell.set_custom_exc(MENDABLE, _show)


def _show(shell, kind, error, trace, tb_offset=None) -> None:
    innermost = trace
    while innermost.tb_next:
        innermost = innermost.tb_next
    if PACKAGE in Path(innermost.tb_frame.f_code.co_filename).parents:
        # The file may hold outputs of an earlier run below, which would look like a success.
        print(f"{error}\nThe notebook stops here: what stands below is of an earlier run.", file=sys.stderr)
    else:
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
