"""The site as `make site` builds it, here from a copy of the course in which a translation was begun."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from babel.messages.pofile import read_po, write_po
from bs4 import BeautifulSoup

from tools.build_site import CatalogueError, check_language, find_translations
from tools.set_repository import ROOT, repository
from tools.set_repository import site as published
from tools.site_sources import Links, find_sources, read_lessons, split_readme

LESSONS = read_lessons()


# What a source becomes ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def links():
    return Links()


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("README.md", "[a](notebooks/00_start_here.ipynb)", "[a](/notebooks/00_start_here.ipynb)"),
        ("README.md", "[a](#on-windows)", "[a](/ways-to-use-it.md#on-windows)"),
        ("README.md", "![a](data/course.png)", "![a](/data/course.png)"),
        ("README.md", "[a](LICENSE)", f"[a]({repository()}/blob/main/LICENSE)"),
        ("TEACHING.md", "[a](README.md)", "[a](/index.md)"),
        ("TEACHING.md", "[a](README.md#the-lessons)", "[a](/index.md#the-lessons)"),
        ("notebooks/README.md", "[a](../README.md#licence)", "[a](/licence.md#licence)"),
        (
            "notebooks/further/x.ipynb",
            "[a](../01_loss_signatures.ipynb#May-I-leave-%60y_true%60-out%2C-or-swap-the-two%3F)",
            "[a](/notebooks/01_loss_signatures.ipynb#may-i-leave-y_true-out-or-swap-the-two)",
        ),
        ("notebooks/further/x.ipynb", "[a](#loss.keys()-is:-nan)", "[a](#losskeys-is-nan)"),
        (
            "notebooks/further/x.ipynb",
            "[a](../../tests/parity/README.md#Of-it)",
            f"[a]({repository()}/blob/main/tests/parity/README.md#Of-it)",
        ),
        ("README.md", "[a](https://example.org/x#Y) `[0](body, x)` [b](no/such/file.md)", None),
        (
            "README.md",
            "[![Open In Colab](https://example.org/badge.svg)](https://example.org)",
            "[Open in Colab](https://example.org)",
        ),
    ],
)
def test_links_lead_to_what_the_site_has(links, file, text, expected):
    assert links.in_text(text, file) == (expected or text)


def test_readme_is_cut_at_its_headings():
    parts = split_readme("# Title\nlost\n## A b, c\none\n### D\n\n    # code\n## E\ntwo\n")
    assert parts == {"a-b-c": "# A b, c\none\n## D\n\n    # code\n", "e": "# E\ntwo\n"}


def test_each_lesson_has_a_row():
    names = {path.relative_to(ROOT / "notebooks").with_suffix("").as_posix() for path in find_lessons()}
    assert {lesson.name for lesson in LESSONS} == names


def find_lessons():
    return [ROOT / name for name in find_sources() if name.endswith(".ipynb") and "/solutions/" not in name]


# The site -------------------------------------------------------------------------------------------------------------


def build(course, *arguments):
    return subprocess.run(
        [sys.executable, course / "tools" / "build_site.py", *arguments], capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course, in a folder with a difficult name."""
    root = tmp_path_factory.mktemp("site") / "a course, ü"
    made_here = shutil.ignore_patterns(".venv*", ".git", "build", "__pycache__", ".*cache", ".hypothesis")
    return Path(shutil.copytree(ROOT, root, ignore=made_here))


@pytest.fixture(scope="module")
def site(course):
    """The pages: in English, in what there is in site/locale, and in one that is begun, with a single translation."""
    with (course / "TEACHING.md").open("a", encoding="utf-8") as file:
        file.write("\nInline $c - \\frac{a}{b}$, for $5 or $6, and alone:\n\n$$\\sum_i x_i^2$$\n")
    made = build(course, "--catalogues", "eo")
    assert made.returncode == 0, made.stdout + made.stderr
    path = course / "site" / "locale" / "eo" / "LC_MESSAGES" / "notebooks" / "00_start_here.po"
    with path.open("rb") as file:
        catalogue = read_po(file)
    catalogue["The answer"].string = "La respondo"
    with path.open("wb") as file:
        write_po(file, catalogue)
    made = build(course)
    assert made.returncode == 0, made.stdout + made.stderr
    return course / "build" / "site"


@pytest.fixture(scope="module")
def pages(site):
    """Name of each page in English to what it holds."""
    languages = {path.name for path in (site.parents[1] / "site" / "locale").iterdir()}
    paths = [path for path in site.rglob("*.html") if not languages & set(path.relative_to(site).parts)]
    return {
        path.relative_to(site).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in paths
    }


def test_every_notebook_and_text_has_a_page_that_the_sidebar_leads_to(pages):
    sidebar = pages["index.html"].select(".bd-sidebar-primary nav a[href]")
    linked = {link["href"] for link in sidebar} | {"index.html"}
    wanted = {re.sub(r"\.(ipynb|md)$", ".html", name) for name in find_sources() if not name.endswith(".png")}
    wanted |= {f"{part}.html" for part in split_readme((ROOT / "README.md").read_text("utf-8"))} - {"the-lessons.html"}
    assert wanted <= pages.keys()
    solutions = {name for name in wanted if "/solutions/" in name}
    assert wanted - solutions <= linked
    listed = {link["href"] for link in pages["notebooks/solutions/index.html"].select("article a[href]")}
    assert {name.rpartition("/")[2] for name in solutions} <= listed


def test_every_link_leads_to_a_page_and_a_place_on_it(pages, site):
    wrong = []
    places = {name: {one["id"] for one in page.select("[id]")} for name, page in pages.items()}
    for name, page in pages.items():
        for link in page.select("a[href]"):
            to = urlsplit(link["href"])
            if to.scheme or link["href"] in ("", "#"):
                continue
            path = ((site / name).parent / unquote(to.path)).resolve() if to.path else site / name
            target = path.relative_to(site).as_posix()
            if not path.is_file() or (to.fragment and unquote(to.fragment) not in places.get(target, ())):
                wrong.append((name, link["href"]))
    assert not wrong


def test_pages_need_no_other_host(pages):
    needed = [
        (name, one.get("src") or one["href"])
        for name, page in pages.items()
        for one in page.select("script[src], img[src], link[rel=stylesheet], link[rel~=icon], link[rel=preload]")
    ]
    assert len(needed) > 500
    assert [(name, address) for name, address in needed if urlsplit(address).netloc] == []


def test_every_picture_is_described(pages):
    pictures = [(name, one) for name, page in pages.items() for one in page.select("article img")]
    assert len(pictures) > 50
    assert [name for name, one in pictures if len(one.get("alt", "")) < 20] == []


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_says_where_it_stands_and_how_long_it_takes(pages, site, lesson):
    for name in (lesson.page, lesson.solutions):
        bar = pages[f"{name}.html"].select_one("article .course-bar")
        colab = f"https://colab.research.google.com/github/{repository().removeprefix('https://github.com/')}/blob/main"
        hrefs = [link["href"] for link in bar.select("a")]
        assert f"{colab}/{name}.ipynb" in hrefs
        download = ((site / name).parent / next(href for href in hrefs if "_downloads" in href)).resolve()
        assert download.read_bytes() == (ROOT / f"{name}.ipynb").read_bytes()
    assert bar.get_text().startswith(f"Solutions of {lesson.title}")
    article = pages[f"{lesson.page}.html"].select_one("article")
    assert re.search(r"\d+ minutes to read", article.get_text())
    said = article.select_one(".course-bar").get_text()
    if lesson.is_road:
        road = [other.title[:2] for other in LESSONS if other.is_road]
        assert said.startswith(f"The road: {' '.join(road)} ")


def test_the_index_has_every_error_text_and_symptom(site):
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    entries = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))["indexentries"]
    tags = [
        tag.partition(": ")[2]
        for path in find_lessons()
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        for tag in cell["metadata"].get("tags", [])
        if tag.startswith(("error: ", "symptom: "))
    ]
    assert len(tags) > 200
    assert [tag for tag in tags if re.sub("[`*]", "", tag).lower() not in entries] == []


def test_formulas_are_set_and_prices_are_none(pages):
    assert [one["display"] for one in pages["TEACHING.html"].select("math")] == ["inline", "block"]
    fraction, total = pages["TEACHING.html"].select("math mfrac, math munder, math munderover, math msub")[:2]
    assert fraction.get_text() == "ab" and "∑" in total.get_text()
    assert "for $5 or $6," in pages["TEACHING.html"].get_text()
    assert {name for name, page in pages.items() if page.select("math, .math")} == {"TEACHING.html"}


def test_the_reference_has_every_public_function_of_a_module(pages):
    page = pages["reference/yolo_helpers/loss/index.html"]
    assert {"yolo_loss", "yolo_loss_terms", "YoloLoss"} <= {
        one["id"].rpartition(".")[2] for one in page.select("dt[id]")
    }
    modules = [path for path in (ROOT / "yolo_helpers").rglob("*.py") if not path.name.startswith("_")]
    for path in modules:
        assert f"reference/{path.relative_to(ROOT).with_suffix('').as_posix()}/index.html" in pages


def test_a_language_that_is_begun_has_all_pages_and_what_is_translated(pages, site):
    assert {path.relative_to(site / "eo").as_posix() for path in (site / "eo").rglob("*.html")} == pages.keys()
    page = BeautifulSoup((site / "eo/notebooks/00_start_here.html").read_text(encoding="utf-8"), "html.parser")
    english = pages["notebooks/00_start_here.html"]
    assert (page.html["lang"], english.html["lang"]) == ("eo", "en")
    titles = [[one.get_text() for one in each.select("article h2")] for each in (page, english)]
    assert titles[0] == [title.replace("The answer", "La respondo") for title in titles[1]] != titles[1]
    # Each leads to the other, and each is to be found.
    for one, code, other in ((page, "en", "../../"), (english, "eo", "../eo/")):
        assert one.select_one(f"nav.languages a[hreflang={code}]")["href"] == f"{other}notebooks/00_start_here.html"
    address = [one.select_one("link[rel=canonical]")["href"] for one in (english, page)]
    assert address == [f"{published()}{language}notebooks/00_start_here.html" for language in ("", "eo/")]
    assert not (site / "jupyter_execute").exists()


def test_no_paragraph_links_to_two_places_of_a_page(course, site):
    """In a translation Sphinx would lead both links to the last of the places, without a word."""
    for path in (course / "site" / "locale" / "eo").rglob("*.po"):
        with path.open("rb") as file:
            for message in read_po(file):
                pages = {link.partition("#")[0]: link for link in re.findall(r"\]\((/[^)]*)\)", str(message.id))}
                assert set(pages.values()) == set(re.findall(r"\]\((/[^)]*)\)", str(message.id))), message.id


@pytest.mark.parametrize("code", ["", "en", "../x", "x/../y", "de,fr", "xx_nonsense", "en_US:en", "German"])
def test_what_is_no_language_is_refused(code):
    with pytest.raises(ValueError, match="is no language to translate into: give its code"):
        check_language(code)


@pytest.mark.parametrize("code", ["de", "eo", "pt_BR", "zh_CN"])
def test_codes_of_languages_are_taken(code):
    assert check_language(code) == code


@pytest.mark.parametrize("wrong", ['msgstr "Die Antwort', 'msgstr Die Antwort"', 'msgid The answer"', "<<<<<<< HEAD"])
def test_a_damaged_catalogue_is_named_with_its_line(tmp_path, wrong):
    path = tmp_path / "site" / "locale" / "de" / "LC_MESSAGES" / "index.po"
    path.parent.mkdir(parents=True)
    path.write_text('# A comment.\nmsgid ""\n"The \\"answer\\""\nmsgstr "Die Antwort"\n', encoding="utf-8")
    assert find_translations(path.parents[2]) == ["de"]
    path.write_text(f"#: index.md:1\n{wrong}\n", encoding="utf-8")
    with pytest.raises(
        CatalogueError, match=r"^site.locale.de.LC_MESSAGES.index.po, line 2: .* is no line of a catalogue"
    ):
        find_translations(path.parents[2])


def test_wrong_links_and_formulas_are_refused_and_the_old_site_stays(course, site):
    with (course / "TEACHING.md").open("a", encoding="utf-8") as file:
        file.write("\n[nowhere](notebooks/06_no_such_lesson.ipynb)\n")
        file.write("\nA formula: $x^2^3$\n")
    before = (site / "TEACHING.html").read_bytes()
    refused = build(course)
    assert refused.returncode and "06_no_such_lesson" in refused.stderr
    assert "the formula x^2^3 cannot be set" in refused.stderr and "TEACHING.md" in refused.stderr
    assert "The site was not built: mend what is named above" in refused.stderr and "Traceback" not in refused.stderr
    assert (site / "TEACHING.html").read_bytes() == before
