"""Build the site to read, in build/site, from the committed notebooks and texts; nothing is executed or fetched.

    python tools/build_site.py                    in English, and in each language that site/locale has catalogues of
    python tools/build_site.py --catalogues de    write what is to be translated, new or changed, into site/locale/de

Called by `make site`, in `.venv-site`. The pages are built beside build/site, which is replaced when all are there.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from babel import Locale, UnknownLocaleError
from sphinx.cmd.build import main as sphinx_build
from sphinx_intl.basic import update as write_catalogues

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # started by its path, Python looks in tools/ only

from tools.set_repository import ROOT, site
from tools.site_sources import gather

SITE = ROOT / "build" / "site"
WORK = ROOT / "build" / "site-work"
SOURCES = ROOT / "build" / "site-sources"
LOCALE = ROOT / "site" / "locale"
# What a line of a catalogue may be. Sphinx would drop other ones, or their last letter, without a word.
CATALOGUE_LINE = re.compile(r"""\s*(#.*|((msg(ctxt|id|id_plural|str)|msgstr\[\d\]) )?"([^"\\]|\\.)*"\s*)?""")
NOT_BUILT = """The site was not built: mend what is named above, then call this again.
A page in build/site-sources has the name of the file that it is made from, or of a part of README.md. Line 860018 of a
notebook is line 18 of its cell 86, counted from 0. In a translation the fault may be in the page's catalogue."""


class CatalogueError(Exception):
    """A catalogue cannot be used; the message is one sentence that names file and line."""


def check_language(code: str) -> str:
    """Return the code of a language, such as de or pt_BR.

    Args:
        code: what a translator gave.

    Raises:
        ValueError: it is no such code, or that of the course's own language.
    """
    try:
        if not re.fullmatch(r"[a-z]{2,3}(_[A-Z]\w+)?", code) or Locale.parse(code).language == "en":
            raise ValueError
    except (ValueError, UnknownLocaleError):
        raise ValueError(
            f"{code!r} is no language to translate into: give its code, such as make catalogues LANGUAGE=de."
        ) from None
    return code


def find_translations(locale: Path = LOCALE) -> list[str]:
    """List the languages that have catalogues, after a look at each line of these.

    Args:
        locale: folder with a folder for each language.

    Raises:
        CatalogueError: a line is none of a catalogue.
        ValueError: a folder is named after no language.
    """
    found = sorted({path.relative_to(locale).parts[0] for path in locale.rglob("*.po")})
    for path in sorted(locale.rglob("*.po")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not CATALOGUE_LINE.fullmatch(line):
                raise CatalogueError(
                    f"{path.relative_to(locale.parents[1])}, line {number}: {line[:40]!r} is no line of a catalogue: "
                    "a text stands between two quotes, and a quote inside it has a backslash before it."
                )
    return [check_language(code) for code in found]


def run_sphinx(builder: str, language: str, into: Path, languages: list[str] = ()) -> int:
    """Let Sphinx read the sources anew; from what it kept, it would make an index without half of the entries.

    One process does it: what fails in another one, Sphinx forgets.

    Args:
        builder: one of Sphinx' builders, such as html.
        language: of the pages.
        into: folder for what it writes.
        languages: that the pages link to, this one among them.

    Returns:
        0, or another number when a link leads nowhere or a text cannot be read.
    """
    address = site() if language == "en" else f"{site()}{language}/"
    command = ["-b", builder, "--quiet", "--fail-on-warning", "--keep-going", "-c", str(ROOT / "site")]
    command += ["-D", f"language={language}", "-D", f"html_baseurl={address}", "-d", str(into.with_name("read"))]
    command += ["-A", "languages=" + "|".join(f"{code}={Locale.parse(code).get_display_name()}" for code in languages)]
    return sphinx_build([*command, str(SOURCES), str(into)])


def build(catalogues: str | None) -> int:
    """Build the pages, or write the catalogues of a language.

    Args:
        catalogues: the language; None for the pages of all languages.

    Returns:
        0, or another number; then build/site is as it was.

    Raises:
        CatalogueError, ValueError: see find_translations.
    """
    translations = find_translations()
    for folder in (SOURCES, WORK):
        shutil.rmtree(folder, ignore_errors=True)
    for path in LOCALE.rglob("*.mo"):  # Sphinx makes them of the catalogues, and would go on with those of lost ones
        path.unlink()
    gather(SOURCES)
    if catalogues:
        status = run_sphinx("gettext", "en", WORK / "catalogues" / "pages")
        if status == 0:
            write_catalogues(str(LOCALE), str(WORK / "catalogues" / "pages"), (catalogues,))
            print(f"What is to be translated lies in site/locale/{catalogues}/.")
        return status
    languages = ["en", *translations] if translations else []
    for language in ("en", *translations):
        if status := run_sphinx("html", language, WORK / language / "pages", languages):
            return status
    for language in translations:
        (WORK / language / "pages").rename(WORK / "en" / "pages" / language)
    shutil.rmtree(SITE, ignore_errors=True)
    (WORK / "en" / "pages").rename(SITE)
    print(f"The site is built: open {(SITE / 'index.html').relative_to(ROOT)} in a browser.")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Read the command line; the exit status is not 0 when nothing was built."""
    parser = argparse.ArgumentParser(description="Build the site of the course.")
    parser.add_argument(
        "--catalogues", metavar="LANGUAGE", help="write what is to be translated into site/locale, instead of pages"
    )
    language = parser.parse_args(arguments).catalogues
    try:
        status = build(None if language is None else check_language(language))
    except (CatalogueError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if status:
        print(NOT_BUILT, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
