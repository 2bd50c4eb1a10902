"""What the site is made of: the notebooks as they are, README cut into a page for each part, the first page, contents.

Sphinx wants its sources in one folder, in which links lead from page to page; `gather` makes it.
"""

import posixpath
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from myst_parser.slugs import github_slugify

from tools.set_repository import ROOT, repository

TEXTS = ("TEACHING.md", "CONTRIBUTING.md", "data/README.md", "benchmarks/README.md")
PICTURES = ("data/course.png",)
# The part of README that stands on the first page; the other parts have pages of their own.
LESSONS = "the-lessons"
SOLUTIONS = "notebooks/solutions/index"
ROW = re.compile(r"^\| \[(?P<title>[^]]+)\]\(notebooks/(?P<name>[\w/]+)\.ipynb\)", re.M)
HEADING = re.compile(r"^#(#*) (.*)$", re.M)
QUESTIONS = "notebooks/README.md"
# A row of its table: the question, a link to the lesson, and the headings that answer it.
QUESTION = re.compile(r"^\| Q\d\d (?P<text>.*) \| \[[^]]+\]\((?P<file>[^)]+)\) \| (?P<headings>.*) \|$", re.M)
BADGE = re.compile(r"\[!\[Open In Colab\]\([^)]*\)\]\(([^)]*)\)")
# A target may hold brackets of its own, in pairs, and no space: what has one is code, such as `[0](body, settings)`.
LINK = re.compile(r"(?<=\]\()((?:[^()\s]|\([^()\s]*\))+)(?=\))")


class Lesson(NamedTuple):
    """A row of README's tables."""

    title: str  # as short as the sidebar wants it
    name: str  # of the notebook, in `notebooks/`, without .ipynb

    @property
    def page(self) -> str:
        """Name of its page."""
        return f"notebooks/{self.name}"

    @property
    def solutions(self) -> str:
        """Name of the page with the answers."""
        return f"notebooks/solutions/{self.name.rpartition('/')[2]}"

    @property
    def is_road(self) -> bool:
        """Whether it is one of the lessons for everyone."""
        return "/" not in self.name


def read_lessons(root: Path = ROOT) -> list[Lesson]:
    """List the lessons in the order of README's tables.

    Args:
        root: folder of the course.
    """
    rows = ROW.finditer((root / "README.md").read_text(encoding="utf-8"))
    return [Lesson(row["title"], row["name"]) for row in rows]


def split_readme(text: str) -> dict[str, str]:
    """Cut README at its headings of the second level; what stands before the first is left out.

    Args:
        text: README, in Markdown.

    Returns:
        For each part its anchor, such as `ways-to-use-it`, and its text, whose headings have moved up by one level.
    """
    parts = re.split(r"^(?=## )", text, flags=re.M)[1:]
    return {slug(HEADING.match(part)[2]): re.sub(r"^##", "#", part, flags=re.M) for part in parts}


def find_sources(root: Path = ROOT) -> list[str]:
    """List the files of the repository that the site shows, besides README.

    Args:
        root: folder of the course.

    Returns:
        Their paths, from the course's folder on.
    """
    notebooks = [*(root / "notebooks").rglob("*.ipynb"), *(root / "notebooks").glob("*.md")]
    found = [path.relative_to(root).as_posix() for path in notebooks if ".ipynb_checkpoints" not in path.parts]
    return [*TEXTS, *PICTURES, *sorted(found)]


def slug(heading: str) -> str:
    """Return a heading's anchor, as GitHub and MyST make it."""
    return github_slugify(re.sub(r"[*`]", "", heading))


def link_headings(row: re.Match) -> str:
    """Return a row of the table of questions whose headings are links.

    In a translation, Sphinx leads all of a cell's links to a page to one place. So all but the first are HTML.
    """
    first, *others = row["headings"].split("; ")
    page = row["file"].removesuffix(".ipynb")
    links = [f"[{first}]({row['file']}#{slug(first)})"]
    links += [f'<a href="{page}.html#{slug(heading)}">{heading}</a>' for heading in others]
    return row[0].removesuffix(f"{row['headings']} |") + "<br>".join(links) + " |"


class Links:
    """Where a link of the repository leads on the site."""

    def __init__(self, root: Path = ROOT):
        """Look what the site has.

        Args:
            root: folder of the course.
        """
        self.root = root
        self.repository = repository(root)
        self.parts = split_readme((root / "README.md").read_text(encoding="utf-8"))
        self.files = find_sources(root)
        self.questions = {}  # (file, slug of a heading) to the questions that are answered there
        for row in QUESTION.finditer((root / QUESTIONS).read_text(encoding="utf-8")):
            for heading in row["headings"].split("; "):
                self.questions.setdefault((f"notebooks/{row['file']}", slug(heading)), []).append(row["text"])
        self.part_of = {slug(title): part for part, text in self.parts.items() for _, title in HEADING.findall(text)}

    def in_text(self, text: str, file: str) -> str:
        """Return a text with links that lead to pages of the site, or to the repository where the site has none.

        Args:
            text: Markdown.
            file: the file in the repository that holds it, `notebooks/README.md` say.

        Returns:
            The text. Links to other hosts stay as they are, and so does what leads nowhere. Colab's badges, which are
            fetched from another host, become words.
        """
        return LINK.sub(lambda match: self._target(match[1], file), BADGE.sub(r"[Open in Colab](\1)", text))

    def _target(self, link, file):
        path, mark, anchor = link.partition("#")
        if re.match(r"[a-z]+:", path):
            return link
        to = posixpath.normpath(posixpath.join(posixpath.dirname(file), path)) if path else file
        # JupyterLab's anchor is a heading's text with dashes, GitHub's is its slug: both have one slug.
        place = github_slugify(unquote(anchor))
        if to == "README.md":
            part = self.part_of.get(place, LESSONS)
            return ("/index.md" if part == LESSONS else f"/{part}.md") + mark + place
        if not path:
            return f"#{place}"
        if to in self.files:
            return f"/{to}{mark}{place}"
        return f"{self.repository}/blob/main/{to}{mark}{anchor}" if (self.root / to).is_file() else link


def toctree(caption: str, entries: list[tuple[str, str]]) -> str:
    """Return a group of the table of contents, which the sidebar shows, in MyST's Markdown.

    Args:
        caption: heading of the group; empty for none.
        entries: pairs of a title and the name of a page.
    """
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *options, "", *(f"{title} <{page}>" for title, page in entries), "```", ""])


def contents(lessons: list[Lesson]) -> str:
    """Return the table of contents of the site, in MyST's Markdown.

    Args:
        lessons: see read_lessons.
    """
    return "\n".join(
        [
            toctree("The road", [(lesson.title, f"/{lesson.page}") for lesson in lessons if lesson.is_road]),
            toctree(
                "Look it up",
                [
                    ("Find your error", "/notebooks/FIND_YOUR_ERROR"),
                    ("Questions that people ask", "/notebooks/README"),
                    ("Index", "genindex"),
                ],
            ),
            toctree("Further lessons", [(lesson.title, f"/{lesson.page}") for lesson in lessons if not lesson.is_road]),
            toctree(
                "Use it",
                [
                    ("Ways to use it", "/ways-to-use-it"),
                    ("When it does not start", "/when-it-does-not-start"),
                    ("Train on your own photographs", "/train-on-your-own-photographs"),
                    ("For teachers", "/TEACHING"),
                    ("Solutions", f"/{SOLUTIONS}"),
                ],
            ),
            toctree(
                "Behind it",
                [
                    ("The package yolo_helpers", "/reference/yolo_helpers/index"),
                    ("What was measured", "/benchmarks/README"),
                    ("The data", "/data/README"),
                    ("Where things are", "/where-things-are"),
                    ("Contributing", "/CONTRIBUTING"),
                    ("Licence", "/licence"),
                ],
            ),
        ]
    )


def gather(folder: Path, root: Path = ROOT) -> None:
    """Write the sources of the site.

    Args:
        folder: where to; it is made.
        root: folder of the course.
    """
    links, lessons = Links(root), read_lessons(root)
    pages = {f"{part}.md": links.in_text(text, "README.md") for part, text in links.parts.items()}
    pages |= {
        name: links.in_text((root / name).read_text(encoding="utf-8"), name)
        for name in links.files
        if name.endswith(".md")
    }
    # The lessons are in the sidebar and on the first page.
    questions = (root / QUESTIONS).read_text(encoding="utf-8").partition("\n## ")[2]
    pages[QUESTIONS] = links.in_text("# " + QUESTION.sub(link_headings, questions), QUESTIONS)
    first = (root / "site" / "index.md").read_text(encoding="utf-8")
    table = pages.pop(f"{LESSONS}.md").partition("\n")[2].strip()  # without its heading
    pages["index.md"] = f"{first.replace('<!-- lessons -->', table)}\n{contents(lessons)}"
    solutions = (root / "site" / "solutions.md").read_text(encoding="utf-8")
    solved = [(lesson.title, f"/{lesson.solutions}") for lesson in lessons]
    listed = "\n".join(f"- [{title}]({page}.ipynb)" for title, page in solved)
    pages[f"{SOLUTIONS}.md"] = f"{solutions.replace('<!-- solutions -->', listed)}\n{toctree('', solved)}"

    sources = {name: (root / name).read_bytes() for name in links.files}
    for name, content in (sources | {name: text.encode("utf-8") for name, text in pages.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
