"""How much there is to read: the limits of the lessons, and the minutes that README and the lessons give."""

import re

import nbformat
import pytest

from tools import count_course
from tools.build_notebooks import ROOT, find_lessons, find_road
from tools.count_course import COLUMNS, count, words_to_answer
from tools.find_your_error import printed
from tools.make_tasks import END, START

LESSONS, ROAD = find_lessons(), find_road()
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Words of prose and code, of the road and of a lesson: the layer and the training of one's own need more room.
ROAD_WORDS, LESSON_WORDS, MORE_WORDS = 18_000, 3000, {"03": 4500, "04": 3500}
FURTHER, FURTHER_LESSONS, FURTHER_WORDS = LESSONS[len(ROAD) :], 16, 2500

every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
every_road_lesson = pytest.mark.parametrize("path", ROAD, ids=lambda path: path.stem)
every_further_lesson = pytest.mark.parametrize("path", FURTHER, ids=lambda path: path.stem)


# What is counted ------------------------------------------------------------------------------------------------------


@pytest.fixture
def lesson(tmp_path):
    """Write a notebook of these cells and return its path."""

    def write(*cells):
        path = tmp_path / "lesson.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), path)
        return path

    return write


def prose(text):
    return nbformat.v4.new_markdown_cell(text)


def code(text, *outputs):
    return nbformat.v4.new_code_cell(text, outputs=list(outputs))


PICTURE = nbformat.v4.new_output("display_data", data={"image/png": "", "text/plain": "<Figure of one axis>"})
PRINTED = nbformat.v4.new_output("stream", text="these words are printed")


def test_words_tasks_and_pictures_are_counted(lesson):
    path = lesson(
        prose("[![Open In Colab](https://a.b/c.svg)](https://a.b/c)\n\n# One two"),
        code("# Set-up, the same in every notebook: find it\nimport os  # this line is the longest of all"),
        prose("Three *four* `five`,\nsix — seven."),
        code("x = 1\nprint(x)", PRINTED, PICTURE),
        code(f"{START}\ny = None\n{END}\n{START}\nz = None\n{END}", PICTURE),
    )
    one = count(path)
    assert (one.prose, one.code) == (3 + 6, 4 + 2 * (4 + 3 + 6))
    assert (one.tasks, one.pictures, one.longest_line) == (1, 2, len(END))


@pytest.mark.parametrize(("words", "expected"), [(1, 5), (600, 5), (601, 10), (1200, 10), (1201, 15)])
def test_minutes_are_rounded_up_to_five(lesson, words, expected):
    half = words // 2
    assert count(lesson(prose("word " * half), code("word " * (words - half)))).minutes == expected


def test_the_answer_ends_with_its_block_quote(lesson):
    answer = "## The answer\n\nIn short:\n\n> one two\n> three\n\nNot counted.\n\n> nor this"
    path = lesson(prose("# A title"), code("x = 1"), prose("> no answer yet"), prose(answer), prose("More."))
    assert words_to_answer(path) == 3 + 3 + 4 + 3 + 2 + 3 + 2


@pytest.mark.parametrize("text", ["> a quote", "## The answer\n\nwithout a quote", "## The answer is\n\n> long"])
def test_a_lesson_without_an_answer_is_named(lesson, text):
    with pytest.raises(ValueError, match=r"lesson\.ipynb has no heading"):
        words_to_answer(lesson(prose(text)))


def test_the_table_has_a_row_for_each_lesson_and_adds_the_road_up(capsys):
    count_course.main([])
    heading, *lines = [line for line in capsys.readouterr().out.splitlines() if line]
    *lines, answer = lines
    assert re.findall(r"\S+(?: line)?", heading) == COLUMNS
    names = [path.stem for path in ROAD] + ["the road"] + [path.stem for path in LESSONS[len(ROAD) :]]
    columns = [[int(number) for number in line.removeprefix(name).split()] for name, line in zip(names, lines)]
    assert [line.split("  ")[0] for line in lines] == names
    assert [len(row) for row in columns] == [len(COLUMNS) - 1] * len(names), "without --seconds that column is empty"
    *sums, longest = zip(*columns[: len(ROAD)])
    assert columns[len(ROAD)] == [*map(sum, sums), max(longest)]
    one = count(LESSONS[-1])
    row = [one.prose, one.code, one.words, one.minutes, one.tasks, one.pictures, one.longest_line]
    assert columns[-1] == row and str(words_to_answer(ROAD[0])) in answer


# The lessons ----------------------------------------------------------------------------------------------------------


@every_road_lesson
def test_a_lesson_of_the_road_is_short(path):
    one = count(path)
    assert one.words <= MORE_WORDS.get(path.stem[:2], LESSON_WORDS)
    assert one.longest_line <= 79, "a phone and a projector would have to scroll"
    assert 3 <= one.tasks <= 5


def test_the_road_is_short():
    words = {path.stem[:2]: count(path).words for path in ROAD}
    words.setdefault("04", MORE_WORDS["04"])  # as long as the lesson is not there, its room is kept
    assert sum(words.values()) <= ROAD_WORDS


def test_the_answer_is_complete_early():
    assert words_to_answer(ROAD[0]) <= 600


def test_the_further_lessons_are_few():
    assert 0 < len(FURTHER) <= FURTHER_LESSONS


@every_further_lesson
def test_a_further_lesson_is_short_shows_something_and_says_whom_it_is_for(path):
    one = count(path)
    assert one.words <= FURTHER_WORDS and one.longest_line <= 79 and one.pictures >= 1
    assert "**You are here because" in nbformat.read(path, as_version=4).cells[0].source


def test_outputs_give_numbers():
    """A bare True teaches little: outputs with truth values and not one digit stay under thirty in the whole course."""
    bare = []
    for path in LESSONS:
        for cell in nbformat.read(path, as_version=4).cells:
            said = printed(cell) if cell.cell_type == "code" else ""
            if re.search(r"\b(True|False)\b", said) and not re.search(r"\d", re.sub(r"\b1e-\d+", "", said)):
                bare.append(f"{path.stem}: {said}")
    assert len(bare) < 30, "\n".join(bare)


@every_lesson
def test_the_lesson_says_its_minutes(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    said = re.findall(r"\b(?:(\d+) minutes to read|takes (\d+) minutes)", " ".join("\n".join(cells[:2]).split()))
    assert [int(read or takes) for read, takes in said] == [count(path).minutes]


# README's tables ------------------------------------------------------------------------------------------------------


def rows(text):
    """(path, minutes of reading, minutes of running) of the rows that give minutes; the sum has an empty path."""
    found = re.findall(r"^\| (?:\[[^]]+\]\((\S+)\)|the road) \|.*?\| (\d+) \| (\d+) \| .*\|$", text, re.MULTILINE)
    return [(path, int(reading), int(running)) for path, reading, running in found]


@every_lesson
def test_readme_has_the_minutes_of_reading(path):
    given = {name: reading for name, reading, _ in rows(README)}
    assert given[path.relative_to(ROOT).as_posix()] == count(path).minutes


def test_readme_adds_the_road_up():
    table = rows(README.partition("**Further lessons**")[0])
    *lessons, (name, *total) = table
    assert [path for path, *_ in lessons] == [path.relative_to(ROOT).as_posix() for path in ROAD]
    assert name == "" and total == [sum(column) for column in list(zip(*lessons))[1:]]
