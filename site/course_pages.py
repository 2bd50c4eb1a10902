"""What the lessons' pages have beyond their notebooks; an extension of Sphinx.

A notebook stays as it is, and is changed while it is read: its links lead to pages of the site, its figures get their
descriptions as alternative texts, and the tags that tools/find_your_error.py collects become entries of the index, so
that a search for an error text leads to the cells that show it. Below the title stands a lesson's place on the road.
"""

import json
import re
from pathlib import Path, PurePosixPath

from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.errors import SphinxError
from sphinx.util.logging import getLogger

from tools.site_sources import BADGE, HEADING, Lesson, Links, read_lessons, slug

LOGGER = getLogger(__name__)
TITLE = re.compile(r"^# .*$", re.M)
TAG = re.compile(r"(?:error|symptom): (.*)")
# A sentence, or more if that is short.
DESCRIPTION = re.compile(r"\*The picture: (.{40,}?[.!?](?= |$)|.+)")
MODULE = re.compile(r"(?<=^   )(/reference/(?:\w+/)*(\w+)/index)$", re.M)
SET_UP = "Set-up, the same in every notebook"


def plain(markdown: str) -> str:
    """Return the words of a text without Markdown's marks."""
    return " ".join(re.sub(r"[*`]|\]\([^)]*\)|\[", "", markdown).split())


def first_paragraph(cell: dict) -> str:
    """Return the first paragraph of a text cell, as one line."""
    return "".join(cell["source"]).partition("\n\n")[0].replace("\n", " ")


def index_entry(text: str) -> str:
    """Return the directive that puts a text into the site's index; its mark (!) tells search.js: no function."""
    return f"```{{index}} ! single: {plain(text).replace(';', ',')}\n```\n\n"


def course_bar(page: str, lessons: list[Lesson], colab: str) -> str:
    """Return the line below a title: where on the road one is, and where to run the lesson.

    Args:
        page: name of the page.
        lessons: all of them, in order.
        colab: the notebook's address on Colab.

    Returns:
        A paragraph in MyST's Markdown.

    Raises:
        SphinxError: README does not list the lesson.
    """
    file = PurePosixPath(page).name
    run = f"[Open in Colab]({colab}) · {{download}}`The notebook <{file}.ipynb>`"
    if solved := next((lesson for lesson in lessons if lesson.solutions == page), None):
        return f"{{.course-bar .solutions}}\n**Solutions** of [{solved.title}](/{solved.page}.ipynb) · {run}"
    here = next((lesson for lesson in lessons if lesson.page == page), None)
    if here is None:
        raise SphinxError(f"{page}.ipynb has no row in README's tables of lessons: add one.")
    if here.is_road:
        road = [lesson for lesson in lessons if lesson.is_road]
        steps = [f"**{one.title[:2]}**" if one == here else f"[{one.title[:2]}](/{one.page}.ipynb)" for one in road]
        place = f"The road: {' '.join(steps)}"
    else:
        place = "Further lesson"
    return f"{{.course-bar}}\n{place} · {run}"


def adapt(notebook: dict, page: str, links: Links, lessons: list[Lesson]) -> None:
    """Change a notebook, as JSON has it, into what the site shows.

    Args:
        notebook: it is changed.
        page: name of its page.
        links: where links lead.
        lessons: all of them, in order.
    """
    cells = notebook["cells"]
    for cell, below in zip(cells, [*cells[1:], None]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            if source.startswith(f"# {SET_UP}"):
                folded = {"code_prompt_show": f"{SET_UP}: show", "code_prompt_hide": f"{SET_UP}: hide"}
                cell["metadata"] = {"tags": ["hide-input"], "mystnb": folded}
            elif below and (said := DESCRIPTION.match(first_paragraph(below))):
                cell["metadata"]["mystnb"] = {"image": {"alt": plain(said[1])}}
            continue
        if badge := BADGE.search(source):
            source = BADGE.sub("", source)
            bar = course_bar(page, lessons, badge[1])
            title = TITLE.search(source)
            source = f"{source[: title.end()]}\n\n{bar}\n{source[title.end() :]}"
        source = links.in_text(source, f"{page}.ipynb")
        tags = [TAG.fullmatch(tag) for tag in cell["metadata"].get("tags", [])]
        said = [tag[1] for tag in tags if tag]
        if heading := HEADING.match(source):
            said += links.questions.get((f"{page}.ipynb", slug(heading[2])), [])
        at = heading.end() if heading else 0
        entries = "".join(map(index_entry, said))
        cell["source"] = f"{source[:at]}\n\n{entries}{source[at:]}" if entries else source


def point_to_headings(app, doctree):
    """Let the entries of the index lead to the heading above them, which says what the reader came for."""
    for node in doctree.findall(addnodes.index):
        if isinstance(section := node.parent, nodes.section):
            node["entries"] = [(kind, text, section["ids"][0], *rest) for kind, text, _, *rest in node["entries"]]


def keep_columns(app, what, name, obj, options, lines):
    """Set what a module's docstring indents after an empty line, formulas and lists in columns, as it stands there."""
    if what in ("module", "package"):
        lines[:] = re.sub(r"(?<=\n\n)(?=    \S)", ".. code-block:: text\n\n", "\n".join(lines)).split("\n")


def write_formula(translator, node):
    """Write a formula as MathML, which browsers show and screen readers read without a script from another host."""
    try:
        mathml = convert(node.astext(), display="inline" if isinstance(node, nodes.math) else "block")
        translator.body.append(mathml)
    except Exception as error:  # it has many
        LOGGER.warning("the formula %s cannot be set (%r)", node.astext(), error, location=node)
    raise nodes.SkipNode


def setup(app):
    """Called by Sphinx."""
    links, lessons = Links(), read_lessons()

    def read(app, page, source):
        if Path(app.env.doc2path(page)).suffix == ".ipynb":
            try:
                notebook = json.loads(source[0])
            except ValueError as error:
                raise SphinxError(
                    f"{page}.ipynb is no whole notebook ({error}): mend it, or take it from git."
                ) from error
            adapt(notebook, page, links, lessons)
            source[0] = json.dumps(notebook)
        elif page.startswith("reference/"):  # the sidebar has no room for names with their packages
            source[0] = MODULE.sub(r"\2 <\1>", source[0])

    def add_projector(app, page, template, context, doctree):
        if doctree is not None:
            button = {"type": "javascript", "javascript": "projector.toggle()", "label": "projector-button"}
            button |= {"tooltip": "Projector: one section a screen", "icon": "fas fa-person-chalkboard"}
            context["header_buttons"].append(button)

    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("source-read", read)
    app.connect("doctree-read", point_to_headings)
    app.connect("autodoc-process-docstring", keep_columns)
    app.connect("html-page-context", add_projector, priority=600)  # after the theme has made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
