"""Hand on: a trained detector in one zip, with a page that shows what it is."""

import base64
import math
import shlex
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from yolo_helpers.annotations import count_boxes
from yolo_helpers.files import list_files, replacing, write_text
from yolo_helpers.plots import show_history
from yolo_helpers.run_folder import (
    ABOUT,
    BEST,
    EXPORT,
    HISTORY,
    NETWORK,
    SETTINGS,
    TEST,
    TEST_LIST,
    check_run,
    read_history,
    stored,
)

PAGE, ZIP = "page.html", "detector.zip"
PARTS = {"train": "training", "validation": "validation"}  # of settings.json
LOSSES, SCORE = ("loss", "val_loss"), "val_AP50"
# The lists of photographs stay behind: they hold the paths of this computer. So does the checkpoint.
FILES = (BEST, SETTINGS, NETWORK, "classes.txt", HISTORY, TEST, PAGE)
PICTURES = ("history.png", "found-*.png")  # others in the folder are the reader's own
# Ink on paper at 15 to 1, grey at 7 to 1 (WCAG 2 asks for 4.5); pictures keep their white ground in the dark.
STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f1f1f; --grey: #555555; --line: #c8c8c8 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --ink: #ececec; --grey: #b0b0b0; --line: #4a4a4a }
}
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem;
  background: var(--paper); color: var(--ink); overflow-wrap: anywhere }
figure { margin: 1rem 0 } img { max-width: 100%; background: #ffffff } figcaption { color: var(--grey) }
table { border-collapse: collapse } th, td { text-align: left; padding: .2rem 1rem .2rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top }
pre { white-space: pre-wrap }
"""


def hand_on(folder: str | Path) -> Path:
    """Packs what others need of a trained detector into a zip, with a page that shows it.

    In the zip are the weights and what `load_detector` reads beside them, `history.csv`, `test.json`, the pictures that
    the training and this function made, and `export`. The photographs, the lists of their paths and the checkpoint are
    not.

    Args:
        folder: of a training that has ended an epoch. `page.html` and `history.png` are written there.

    Returns:
        The zip, `detector.zip` in the folder. Unpacked it gives a folder of the same name.

    Raises:
        ValueError: if the folder holds no detector, or a damaged file.
        OSError: if something cannot be written; an earlier zip is as it was then.
    """
    folder = Path(folder).resolve()
    check_run(folder)
    history, pictures = read_history(folder), {}
    if curves := _known(history):
        pictures[_save(folder / "history.png", _draw(history, curves))] = _in_words(curves)
    snapshots = sorted(folder.glob("found-*.png"))
    for path in snapshots[:1] + snapshots[1:][-1:]:
        epoch = path.stem.removeprefix("found-").lstrip("0")
        pictures[path] = f"What was found on the first photographs of the validation part after epoch {epoch}."
    write_text(folder / PAGE, _page(folder, history, pictures))
    packed = [folder / name for name in FILES if (folder / name).is_file()]
    packed += [each for pattern in PICTURES for each in sorted(folder.glob(pattern))]
    packed += list_files(folder / EXPORT, ("",), recursive=True)
    path = folder / ZIP  # beside the folder may lie a zip of its name: the photographs
    with (
        replacing(path) as beside,
        zipfile.ZipFile(beside, "w", strict_timestamps=False) as file,
    ):  # stored: weights do not get smaller
        for each in packed:
            file.write(each, each.relative_to(folder.parent))
    return path


def _known(history: dict[str, list]) -> dict[str, list[float]]:
    """The values that there are of each curve on the page."""
    curves = {
        name: [value for value in history.get(name, []) if value is not None and not math.isnan(value)]
        for name in (*LOSSES, SCORE)
    }
    return {name: values for name, values in curves.items() if values}


def _draw(history: dict[str, list], curves: dict[str, list[float]]) -> Figure:
    panels = [[name for name in names if name in curves] for names in (LOSSES, (SCORE,))]
    panels = [names for names in panels if names]
    figure = Figure(figsize=(4.5 * len(panels), 3.2), layout="constrained")
    for ax, names in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        show_history(history, names, ax)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
        values = sum((curves[name] for name in names), [])
        if names != [SCORE] and max(values) > 10 * min(values) > 0:
            ax.set_yscale("log")
    return figure


def _epochs(history: dict[str, list]) -> int:
    return len(next(iter(history.values())))


def _in_words(curves: dict[str, list[float]]) -> str:
    ends = [f"{name} from {_number(values[0])} to {_number(values[-1])}" for name, values in curves.items()]
    return f"The training, epoch by epoch: {', '.join(ends)}."


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _save(path: Path, figure: Figure) -> Path:
    with replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=100, bbox_inches="tight", facecolor="white")
    return path


def _page(folder: Path, history: dict[str, list], pictures: Mapping[Path, str]) -> str:
    title = f"Detector {escape(folder.name)}"
    shown = "".join(_figure(path, sentence) for path, sentence in pictures.items())
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<h2>What was trained on what</h2>
{_table(_facts(folder, history))}
<h2>How good it is</h2>
{_judged(folder)}
{shown and f"<h2>Pictures</h2>{shown}"}
<h2>How to use it</h2>
{_use(folder)}
</body>
</html>
"""


def _facts(folder: Path, history: dict[str, list]) -> list[tuple[str, str]]:
    names = ["classes", "split", "input_shape", "body", "anchors"]
    class_names, split, (height, width), body, anchors = stored(folder / SETTINGS, names)
    facts = [
        ("classes", ", ".join(class_names)),
        ("photographs", ", ".join(f"{len(split[part])} for {name}" for part, name in PARTS.items() if part in split)),
        ("input", f"{width} pixels wide, {height} high"),
        ("network", f"{body['layers']} layers, {body['parameters']:,} parameters"),
        ("anchors", ", ".join(f"{w:.0f} x {h:.0f}" for w, h in anchors)),
    ]
    if history:
        facts.append(("epochs", str(_epochs(history))))
    scores = _known(history).get(SCORE)
    return [*facts, ("best AP50 in validation", f"{max(scores):.3f}")] if scores else facts


def _judged(folder: Path) -> str:
    if not (folder / TEST).is_file():
        return "<p>It was not judged on test photographs.</p>"
    ap50, ap = stored(folder / TEST, ["AP50", "AP"])
    columns = [
        ["no box" if math.isnan(value) else f"{value:.3f}" for value in scores.values()] for scores in (ap50, ap)
    ]
    heading, judged = ["class", "AP50", "AP"], "the test photographs"
    if (folder / TEST_LIST).is_file():  # without it the scores are worth showing too
        photographs, boxes = count_boxes(folder / TEST_LIST)
        judged = f"{photographs:,} test photographs with {boxes.total():,} boxes"
        counts = [boxes[number] for number in range(len(ap50) - 1)]  # the last one is the mean
        columns.insert(0, [f"{count:,}" for count in (*counts, sum(counts))])
        heading.insert(1, "boxes")
    return (
        f"<p>On {judged}, from which nothing was learned. 1 is perfect. For AP50 a box is right from an overlap (IoU) "
        "of 0.5 with a true one; AP is the mean over limits from 0.5 to 0.95. From a dozen boxes a score is partly "
        "chance.</p>\n" + _table(zip(ap50, *columns, strict=True), heading)
    )


def _table(rows: Iterable[Sequence[str]], heading: Sequence[str] = ()) -> str:
    lines = ["".join(f'<th scope="col">{escape(cell)}</th>' for cell in heading)] if heading else []
    for name, *cells in rows:
        lines.append(f'<th scope="row">{escape(name)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in cells))
    return "<table>\n" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>"


def _figure(path: Path, sentence: str) -> str:
    picture = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    sentence = escape(sentence)
    caption = f'<figcaption aria-hidden="true">{sentence}</figcaption>'  # a screen reader has said it already
    return f'<figure><img src="{picture}" alt="{sentence}">{caption}</figure>\n'


def _use(folder: Path) -> str:
    options, ways, about = f"--folder {shlex.quote(folder.name)}", {}, folder / EXPORT / ABOUT
    if about.is_file():
        (threshold,) = stored(about, ["score_threshold"])
        options += f" --threshold {threshold}"
    ways["Unpack the zip in the folder of the course; then"] = f"python -m yolo_helpers detect {options} photo.jpg"
    if about.is_file():
        export = f"{folder.name}/{EXPORT}"
        command = f"python {shlex.quote(f'{export}/detect.py')} {shlex.quote(export)} photo.jpg"
        ways["Or without the course, where TensorFlow and Pillow are installed"] = command
    return "\n".join(f"<p>{how}:</p>\n<pre>{escape(command)}</pre>" for how, command in ways.items())
