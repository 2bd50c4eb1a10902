"""Execute the course's notebooks in place.

    python tools/build_notebooks.py                       every notebook
    python tools/build_notebooks.py notebooks/01_*.ipynb  these

A notebook whose results are the same keeps its file byte for byte. Memory addresses and the durations in an
ignored progress bar differ in every run; where nothing else differs, the old file stays too. Kept in a file are the
cells with their ids and tags, the execution counts, the outputs without stderr, and the kernel's name: nothing that
depends on the machine or the hour. Large pictures are kept with 256 colours.
"""

import argparse
import base64
import io
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"
DURATION = re.compile(r"\d+(?:\.\d+)?\s?(?:[num\u00b5]?s|min|h)\b(?:/(?:step|epoch))?|\d+:\d\d(?::\d\d)?")
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
CELL_TIMEOUT = 600
MANY_BYTES = 75_000  # of a picture


def find_road(root: Path = ROOT) -> list[Path]:
    """List the lessons of the road, in order, without Jupyter's checkpoints.

    Args:
        root: folder of the course.
    """
    return sorted((root / "notebooks").glob("*.ipynb"))


def find_lessons(root: Path = ROOT) -> list[Path]:
    """List the lessons: the road first, then the further ones.

    Args:
        root: folder of the course.
    """
    return [*find_road(root), *sorted((root / "notebooks" / "further").glob("*.ipynb"))]


def find_solutions(root: Path = ROOT) -> list[Path]:
    """List the solutions of the lessons' tasks.

    Args:
        root: folder of the course.
    """
    return sorted((root / "notebooks" / "solutions").glob("*.ipynb"))


def find_notebooks(root: Path = ROOT) -> list[Path]:
    """List the course's notebooks: the lessons, then the solutions.

    Args:
        root: folder of the course.
    """
    return [*find_lessons(root), *find_solutions(root)]


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave in a notebook only what is the same on every machine.

    Args:
        notebook: the notebook; it is changed.

    Returns:
        The same notebook.
    """
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        # A widget lives only beside a running kernel; without one its output would be a line of program text.
        cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
        for output in cell.outputs:
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
    return notebook


def reduce_colours(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave 256 colours in large pictures, which hold photographs: nobody sees it, and half of the file goes.

    Args:
        notebook: the notebook; it is changed.

    Returns:
        The same notebook.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            picture = base64.b64decode(output.get("data", {}).get("image/png", ""))
            if len(picture) < MANY_BYTES:
                continue
            image = Image.open(io.BytesIO(picture))
            if image.mode != "P":
                reduced = io.BytesIO()
                image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(reduced, "PNG", optimize=True)
                output.data["image/png"] = base64.b64encode(reduced.getvalue()).decode() + "\n"
    return notebook


class Client(NotebookClient):
    """Runs a notebook without standing in for a browser's widgets.

    What a slider draws then becomes the output of its cell: the still picture that the file keeps. And nothing is
    answered to the kernel while a cell runs, which now and then made the client wait for ever (nbclient issue 312).
    """

    def handle_comm_msg(self, outs, msg, cell_index):
        """Leave a widget's messages unanswered."""


def execute(path: Path) -> tuple[nbformat.NotebookNode, list[str]]:
    """Run a notebook from top to bottom in its own folder.

    Args:
        path: the notebook; the file is not changed.

    Returns:
        The executed and cleaned notebook, and a line for each cell that wrote to stderr.

    Raises:
        CellExecutionError: a cell raised an error.
        CellTimeoutError: a cell ran longer than ten minutes.
    """
    notebook = clean(nbformat.read(path, as_version=4))
    client = Client(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name=KERNEL["name"],
        extra_arguments=["--log-level=ERROR"],  # the kernel's own advice would stand between the progress lines
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    notes = [
        f"cell {number} wrote to stderr: {output.text.strip().splitlines()[-1][:150]}"
        for number, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr" and output.text.strip()
    ]
    return reduce_colours(clean(notebook)), notes


def same_results(new: nbformat.NotebookNode, old: nbformat.NotebookNode) -> bool:
    """Say whether two versions of a notebook differ at most in memory addresses and in durations of ignored outputs.

    Args:
        new: the notebook just executed.
        old: the notebook as it was.

    Returns:
        True when the old file may stay.
    """

    def comparable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
        notebook = reduce_colours(nbformat.from_dict(notebook))  # those executed before had all colours
        for cell in notebook.cells:
            ignored = "nbval-ignore-output" in cell.metadata.get("tags", [])
            for output in cell.get("outputs", []):
                texts, key = (output, "text") if "text" in output else (output.get("data", {}), "text/plain")
                text = ADDRESS.sub("", texts.get(key, ""))
                # A progress bar is padded with spaces to the length of the line before it, durations included.
                texts[key] = re.sub(" +", " ", DURATION.sub("", text)) if ignored else text
        return notebook

    return comparable(new) == comparable(old)


def write_beside(path: Path, text: str) -> None:
    """Write a text file so that it is either the old one or the new one, never half of it.

    Args:
        path: the file; its folder is made when missing.
        text: the new content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, path)


def to_text(notebook: nbformat.NotebookNode) -> str:
    """Return a notebook as the text of its file, keys sorted and accents kept."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def rebuild(path: Path) -> list[str]:
    """Execute a notebook in place.

    Args:
        path: the notebook.

    Returns:
        Notes for the terminal: whether it changed, and what was written to stderr.
    """
    before = path.read_text(encoding="utf-8")
    notebook, notes = execute(path)
    after = to_text(notebook)
    old = nbformat.reads(before, as_version=4)
    if after == before or (same_results(notebook, old) and to_text(old) == before):
        return notes
    write_beside(path, after)
    return ["changed", *notes]


def main(arguments: list[str] | None = None) -> int:
    """Execute the notebooks named on the command line, or all; the exit status is 1 when one of them fails."""
    parser = argparse.ArgumentParser(description="Execute the course's notebooks.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="notebooks to execute (default: all)")
    options = parser.parse_args(arguments)
    paths = options.notebooks or find_notebooks()
    if not paths:
        parser.error(f"no notebook was found in {ROOT / 'notebooks'}")
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        parser.error(f"no such notebook: {', '.join(missing)}")
    # The kernel must be the one of this environment, and its debugger's advice is no output of the course.
    os.environ.update(JUPYTER_PREFER_ENV_PATH="1", PYDEVD_DISABLE_FILE_VALIDATION="1")

    failed = []
    for number, path in enumerate(paths, start=1):
        name = path.stem if path.parent.name == "notebooks" else f"{path.parent.name}/{path.stem}"
        print(f"{number}/{len(paths)} {name} … ", end="", flush=True)
        start = time.monotonic()
        try:
            notes = rebuild(path)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed.append(name)
            print(f"failed after {time.monotonic() - start:.0f} s\n{error}", flush=True)
            continue
        print(", ".join([f"{time.monotonic() - start:.0f} s", *notes]), flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}. Nothing was written for these.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
