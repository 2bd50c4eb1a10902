"""A notebook with plain errors: one sentence for what the reader can mend, all else as usual, and every error stops."""

import subprocess
import sys

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tools.build_notebooks import KERNEL, ROOT, Client

PLAIN = "from yolo_helpers.notebook import plain_errors; plain_errors()"
BRING = "from yolo_helpers.photographs import bring_photographs; bring_photographs('nowhere', {folder!r})"


def failed(*cells):
    """Runs cells, of which the last but one must stop all; returns the error and what its outputs hold."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (*cells, "print('on')")])
    client = Client(notebook, timeout=120, kernel_name=KERNEL["name"], resources={"metadata": {"path": ROOT}})
    with pytest.raises(CellExecutionError) as error:
        client.execute()
    *_, cell, after = notebook.cells
    assert after.outputs == [] and after.execution_count is None
    return error.value, cell.outputs


def test_what_the_reader_can_mend_is_one_sentence_and_stops_the_notebook(tmp_path):
    error, (output,) = failed(PLAIN, BRING.format(folder=str(tmp_path)))
    assert (output.output_type, output.name) == ("stream", "stderr")
    sentence, *_ = output.text.splitlines()
    assert sentence.startswith("nowhere: there is no such file or folder") and "Traceback" not in output.text
    assert (error.ename, error.evalue) == ("PhotographsError", sentence)


def test_without_it_there_is_a_traceback(tmp_path):
    _, outputs = failed(BRING.format(folder=str(tmp_path)))
    assert [output.output_type for output in outputs] == ["error"] and "Traceback" in str(outputs)


@pytest.mark.parametrize(
    "cell",
    [
        "int('x')",  # the reader's own
        "def f(): raise OSError('mine')\nf()",
        "{}['x']",
        # Another library's, and the reader's own, with the package in between.
        "from yolo_helpers.files import write_json\nround = []\nround.append(round)\nwrite_json('a.json', round)",
        "from yolo_helpers.progress import progress\nfor x in progress([1], 'numbers'): raise ValueError(x)",
        "1 +",
    ],
)
def test_any_other_error_is_shown_as_usual(cell):
    _, usual = failed(cell)
    _, plain = failed(PLAIN, cell)
    assert [(o.output_type, o.ename, o.evalue) for o in plain] == [(o.output_type, o.ename, o.evalue) for o in usual]
    assert [line for o in plain for line in o.traceback] and len(plain[0].traceback) == len(usual[0].traceback)


def test_outside_of_ipython_nothing_happens(tmp_path):
    code = f"{PLAIN}\nimport sys; print([name for name in ('IPython', 'keras') if name in sys.modules])\n"
    code += BRING.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.strip() == "[]" and "Traceback" in done.stderr
