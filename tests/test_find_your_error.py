"""FIND_YOUR_ERROR.md: made from the lessons' tags, and refused where a lesson no longer says what its tag says."""

import re
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.build_notebooks import ROOT, find_lessons
from tools.find_your_error import PAGE, StaleError, in_order, make_page, read_entries

ROW = re.compile(r"^\| (.*?) \| (.*?) \| \[[^]]*\]\(([^)#]+)#([^)]*)\) \|$", re.MULTILINE)


def everything(notebook):
    """All that a notebook says and prints, as one text in small letters."""
    parts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            parts.append(output.get("text", output.get("data", {}).get("text/plain", "")))
    return " ".join("\n".join(parts).replace("`", "").replace("*", "").lower().split())


def test_the_committed_page_is_what_the_lessons_say():
    assert PAGE.read_text(encoding="utf-8") == make_page(in_order()), "run tools/find_your_error.py"


def test_each_text_stands_in_its_lesson_and_each_link_leads_to_a_heading():
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) >= 60 and {(PAGE.parent / row[2]).resolve() for row in rows} <= set(find_lessons())
    for texts, answer, name, anchor in rows:
        notebook = nbformat.read(PAGE.parent / name, as_version=4)
        for text in texts.replace("\\|", "|").split("<br>"):
            plain = " ".join(text.replace("`", "").lower().split())
            for words in [plain] if "`" in text else plain.split():  # as it was printed; or word by word
                assert words in everything(notebook), f"{name} lacks {words!r} of {text}"
        source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        headings = re.findall(r"^#+ (.*)$", source.replace("`", "").replace("*", ""), re.MULTILINE)
        assert unquote(anchor) in [heading.replace(" ", "-") for heading in headings], f"{name}#{anchor}"
        assert 3 <= len(answer.split()) <= 45, f"{texts}: {answer}"


@pytest.mark.parametrize(
    "text",
    [
        "No gradients provided for any variable",
        "bad marshal data",
        "Found 0 boxes",
        "val_loss: nan",
        "output_signature must contain objects",
        "Graph execution error",
        "7000",
        "AP 0",
    ],
)
def test_what_people_search_for_most_has_a_row(text):
    assert any(text in row[0] for row in ROW.findall(PAGE.read_text(encoding="utf-8")))


def test_links_of_the_page_lead_somewhere():
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", PAGE.read_text(encoding="utf-8")):
        assert re.match(r"https?:", target) or (PAGE.parent / target).exists(), target
    assert "FIND_YOUR_ERROR.md" in (ROOT / "README.md").read_text(encoding="utf-8")


# The tool, on small lessons -------------------------------------------------------------------------------------------


def lesson(folder, *, tag="error: it broke", prints="ValueError: it\nbroke here", says="It breaks, so mend it. More."):
    """A lesson of one section: a tagged text, and a cell that printed something."""
    cells = [
        new_markdown_cell("# A lesson\n\nThe loss is odd."),
        new_markdown_cell(f"## Why `it` breaks\n\n{says}", metadata={"tags": [tag, "task"]}),
        new_code_cell("run()", outputs=[new_output("stream", text=prints)]),
        new_markdown_cell("## Another\n\nNothing is printed here."),
    ]
    path = folder / "notebooks" / "01_a_lesson.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_a_tag_becomes_a_row(tmp_path):
    path = lesson(tmp_path)
    assert read_entries(path) == [(["it broke"], [], "It breaks, so mend it.", path, "Why `it` breaks")]


def test_texts_of_one_cell_share_a_row_and_code_stays_code(tmp_path):
    path = lesson(tmp_path, prints="a `b` | c\nit broke", says="See [it](../README.md), and mend. More.")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].metadata["tags"] = ["error: a `b` | c", "symptom: the loss is odd", "error: it broke"]
    nbformat.write(notebook, path)
    page = make_page([path], tmp_path / "notebooks" / "PAGE.md").splitlines()
    assert page[-5] == "## A lesson"
    texts, answer, where = re.split(r"(?<!\\)\|", page[-1])[1:-1]
    assert texts.strip() == r"`` a `b` \| c ``<br>`it broke`<br>the loss is odd"
    assert answer.strip() == "See [it](../README.md), and mend."


@pytest.mark.parametrize(
    ("says", "answer"),
    [
        ("**Guess first:** does it?", "**Guess first:** does it?"),
        ("Keras 3.8 and `a.b` say\nso. Then", "Keras 3.8 and `a.b` say so."),
        ("| a | b |\n| --- | --- |\n\nThe table is skipped. Yes.", "The table is skipped."),
        ("It ends (in a bracket.) More.", "It ends (in a bracket.)"),
    ],
)
def test_the_answer_is_the_first_sentence(tmp_path, says, answer):
    assert read_entries(lesson(tmp_path, says=says))[0].answer == answer


def test_a_symptom_may_stand_anywhere_in_the_lesson(tmp_path):
    assert read_entries(lesson(tmp_path, tag="symptom: odd LOSS"))[0].symptoms == ["odd LOSS"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tag": "error: another text"}, "no output there holds the tag error: another text"),
        ({"tag": "error: The loss is odd"}, "no output there"),
        ({"tag": "symptom: the loss is even"}, r"the lesson lacks \['even'\] of symptom: the loss is even"),
        ({"says": ""}, "no sentence begins"),
    ],
)
def test_a_tag_that_has_gone_stale_is_refused(tmp_path, change, said):
    with pytest.raises(StaleError, match=f"01_a_lesson.ipynb, .*: {said}"):
        read_entries(lesson(tmp_path, **change))
