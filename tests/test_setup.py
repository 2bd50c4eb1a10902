"""The set-up: pins that agree, one address, the environments that make sets up, and what README promises."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import setup_venv
from tools.build_notebooks import find_lessons, find_road
from tools.set_repository import files_with_address, repository, set_repository, site
from yolo_helpers.installation import check_installation

ROOT = Path(__file__).resolve().parents[1]
NEW = "https://github.com/some-one/detector.course"


def text(name, root=ROOT):
    return (root / name).read_text(encoding="utf-8")


def pyproject():
    return tomllib.loads(text("pyproject.toml"))


def pins(lines):
    """{name: version} of lines like `keras==3.13.2 ; marker`; comments and hashes are left out."""
    found = {}
    for line in lines:
        match = re.match(r"([A-Za-z0-9_.-]+)==([^\s;\\]+)", line.strip())
        if match:
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


def wanted(name="course"):
    """The pins of a group of pyproject.toml, those of the groups that it includes among them."""
    found = {}
    for entry in pyproject()["dependency-groups"][name]:
        found |= wanted(entry["include-group"]) if isinstance(entry, dict) else pins([entry])
    return found


# Pins ------------------------------------------------------------------------------------------------------------


def test_environment_holds_the_same_pins():
    environment = yaml.safe_load(text("environment.yml"))
    of_pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pins(of_pip) == wanted() and len(of_pip) == len(wanted())
    assert "python=3.12" in environment["dependencies"], "Binder wants one equals sign"


@pytest.mark.parametrize("name", ["course", "jax", "site", "colab", "browser"])
def test_locked_file_holds_the_pins_of_its_group_each_with_hashes(name):
    content = text(f"requirements/{name}.txt")
    locked = pins(content.splitlines())
    assert {package: locked.get(package) for package in wanted(name)} == wanted(name)
    for entry in re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", content, flags=re.MULTILINE)):
        assert re.match(r"[a-z0-9.-]+==\S+( ; [^\\\n]+)? \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry[:80]


def test_jax_has_nothing_of_tensorflow():
    assert wanted("jax")["jax"] == wanted("jax")["jaxlib"]
    assert not [package for package in pins(text("requirements/jax.txt").splitlines()) if "tensor" in package]


def test_the_outputs_are_made_on_colabs_versions():
    course, colab = wanted(), wanted("colab")
    packages = ("tensorflow", "keras", "numpy", "matplotlib", "pillow", "pycocotools")
    assert [course[name] for name in packages] == [colab[name] for name in packages]


@pytest.mark.parametrize(
    "name",
    [*(f"requirements/{group}.txt" for group in ("course", "jax", "site", "colab", "browser")), "environment.yml"]
    + ["pyproject.toml"],
)
def test_no_index_address_and_no_folder_of_one_machine(name):
    for line in text(name).splitlines():
        if not line.startswith("Repository = "):
            assert not re.search(r"https?://|file:|--index|--extra|find-links|(^|[\s=])/\w", line), line


def test_pins_fulfil_the_lower_bounds():
    project = pyproject()["project"]
    locked = pins(text("requirements/course.txt").splitlines())
    for requirement in map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["lab"]]):
        assert [spec.operator for spec in requirement.specifier] == [">="], f"{requirement}: a lower bound and no cap"
        assert all(requirement.specifier.contains(v) for v in locked[canonicalize_name(requirement.name)]), requirement


# The address ------------------------------------------------------------------------------------------------------


@pytest.fixture
def course_copy(tmp_path):
    """The files of the course that may hold its address, in a folder with a difficult name."""
    root = tmp_path / "a copy, ü"
    for path in files_with_address(ROOT):
        (root / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.relative_to(ROOT))
    return root


def slugs(root):
    """Every owner/name on GitHub that ends like the course's own, with the file it stands in."""
    name = repository(root).rsplit("/", 1)[1]
    pattern = re.compile(rf"(?<![.\w-])[\w-]+/{re.escape(name)}(?![\w-])")
    return {(path, slug) for path in files_with_address(root) for slug in pattern.findall(path.read_text("utf-8"))}


def test_one_address_everywhere():
    slug = repository().removeprefix("https://github.com/")
    found = slugs(ROOT)
    assert {slug} == {one for _, one in found}
    holders = {path.relative_to(ROOT).as_posix() for path, _ in found}
    assert {"pyproject.toml", "README.md", "CITATION.cff"} <= holders
    assert {path for path in files_with_address() if path.suffix == ".ipynb"} <= {path for path, _ in found}


def test_address_stands_in_no_other_file():
    slug = repository().removeprefix("https://github.com/")
    folders = ("yolo_helpers", "data", "tools", "tests", "benchmarks", "site")
    others = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    others += [ROOT / name for name in ("Makefile", "conftest.py", "environment.yml")]
    for path in others:
        if path != Path(__file__):
            owned = re.search(rf"github\.com/{re.escape(slug)}", path.read_text(encoding="utf-8"))
            assert not owned, f"{path} holds the address, and tools/set_repository.py does not know it"


def test_setting_the_address_changes_every_place(course_copy):
    old = repository(course_copy)
    before = {path: path.read_bytes() for path in files_with_address(course_copy)}
    changed = set_repository(NEW + ".git/", course_copy)
    assert repository(course_copy) == NEW
    slug, new_slug = (url.removeprefix("https://github.com/") for url in (old, NEW))
    owner, name = slug.split("/")
    new_owner, new_name = new_slug.split("/")
    assert site(course_copy) == f"https://{new_owner}.github.io/{new_name}/"
    assert {path for path, content in before.items() if slug.encode() in content} <= set(changed)
    for path in files_with_address(course_copy):
        content = path.read_text(encoding="utf-8")
        assert slug not in content and f"{owner}.github.io/{name}" not in content
    readme = text("README.md", course_copy)
    assert "placeholder" not in readme and site(course_copy) in readme
    assert f"https://colab.research.google.com/github/{new_slug}/blob/main/" in readme
    assert not list(course_copy.rglob("*.part"))


def test_setting_the_address_there_and_back_changes_nothing_else(course_copy):
    set_repository(NEW, course_copy)
    before = {path: path.read_bytes() for path in files_with_address(course_copy)}
    set_repository("https://github.com/third/place", course_copy)
    set_repository(NEW, course_copy)
    assert {path: path.read_bytes() for path in files_with_address(course_copy)} == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "someone/course",
        "http://github.com/a/b",
        "https://gitlab.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/c",
    ]
    + ["https://github.com/a b/c", "https://github.com/-a/b", "https://github.com/a/b?c", 'https://github.com/a/b"'],
)
def test_wrong_address_changes_nothing(course_copy, url):
    before = {path: path.read_bytes() for path in files_with_address(course_copy)}
    with pytest.raises(ValueError, match=r"is not an address of the form https://github\.com/OWNER/NAME"):
        set_repository(url, course_copy)
    assert {path: path.read_bytes() for path in files_with_address(course_copy)} == before


# make and .venv ----------------------------------------------------------------------------------------------------


FAKE_PYTHON = """#!/bin/sh
# Stands in for a Python of another age, or for the shim of one that is not installed.
case "$FAKE" in
    missing) echo "command not found" >&2; exit 127 ;;
    old) case "$1" in --version) echo "Python 3.9.1" ;; *) exit 1 ;; esac ;;
esac
"""


@pytest.fixture
def bare_course(tmp_path):
    """What the installation needs, in a folder with a difficult name, with a pin that no index has."""
    root = tmp_path / "a b ü"
    package = ("pyproject.toml", "README.md", "LICENSE", "yolo_helpers/__init__.py")
    for name in ("Makefile", "tools/setup_venv.py", *package):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    for name in ("course", "jax"):
        pin(root, name)
    return root


def pin(root, name, line=f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n"):
    (root / "requirements").mkdir(exist_ok=True)
    (root / "requirements" / f"{name}.txt").write_text(line, encoding="utf-8")


def ready(root, environment, name):
    """A finished installation of these pins, as far as make can see."""
    folder = root / environment
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    shutil.copy(root / "requirements" / f"{name}.txt", folder / "installed-requirements.txt")


def make(root, *arguments, **environment):
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        nowhere[name] = ""
    return subprocess.run(
        ["make", *arguments], cwd=root, env={**os.environ, **nowhere, **environment},
        text=True, encoding="utf-8", capture_output=True, timeout=300,
    )  # fmt: skip


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not here (Windows uses conda)")


@needs_make
def test_failed_installation_leaves_nothing_and_the_next_one_recovers(bare_course, tmp_path):
    ready(bare_course, ".venv", "course")
    assert make(bare_course, ".venv").stderr == ""
    pin(bare_course, "course", f"other==1 --hash=sha256:{'1' * 64}\n")  # other pins are another installation
    first = make(bare_course, ".venv")
    assert first.returncode != 0 and "Traceback" not in first.stderr
    said = [line for line in first.stderr.splitlines() if "could not be installed" in line]
    assert len(said) == 1 and "check the network connection" in said[0], first.stderr
    assert not (bare_course / ".venv").exists()
    # What a killed installation leaves behind is no finished one.
    (bare_course / ".venv" / "bin").mkdir(parents=True)
    (bare_course / ".venv" / "bin" / "python").symlink_to(sys.executable)
    pin(bare_course, "course", "")
    # The pins would bring setuptools, which installs the package; here it is lent.
    (tmp_path / "lent").mkdir()
    (tmp_path / "lent" / "setuptools").symlink_to(Path(setuptools.__file__).parent)
    second = make(bare_course, ".venv", PYTHONPATH=str(tmp_path / "lent"))
    assert second.returncode == 0 and "The packages are installed." in second.stderr, second.stderr
    where = [bare_course / ".venv" / "bin" / "python", "-I", "-c", "import yolo_helpers; print(yolo_helpers.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    assert Path(found) == bare_course / "yolo_helpers" / "__init__.py"
    third = make(bare_course, ".venv")
    assert third.returncode == 0 and third.stderr == "" and third.stdout == ""


@needs_make
def test_each_environment_has_requirements_of_its_own(bare_course):
    ready(bare_course, ".venv-jax", "jax")
    pin(bare_course, "course", "")
    run = make(bare_course, ".venv-jax")
    assert run.returncode == 0 and run.stderr == "" and run.stdout == ""


@needs_make
@pytest.mark.parametrize("age", ["old", "missing"])
def test_wrong_python_is_said_in_one_sentence(bare_course, age):
    programs = bare_course / "programs"
    programs.mkdir()
    for name in ("python3.12", "python3.13", "python3.11", "python3", "python"):
        (programs / name).write_text(FAKE_PYTHON, encoding="utf-8")
        (programs / name).chmod(0o755)
    run = make(bare_course, ".venv", PATH=f"{programs}{os.pathsep}{os.environ['PATH']}", FAKE=age)
    shown = "Python 3.9.1" if age == "old" else "none"
    sentence = f"Python 3.11, 3.12 or 3.13 was not found (python3 here: {shown}): install one, then run make again."
    assert run.returncode != 0
    assert [line for line in run.stderr.splitlines() if not line.startswith("make")] == [sentence]


def test_a_python_without_its_venv_part_is_said_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)  # so that importing it fails
    with pytest.raises(setup_venv.SetupError, match=r"^Python .* install its venv part .*, then run make again\.$"):
        setup_venv.install(tmp_path, ".venv")
    assert not list(tmp_path.iterdir())


@needs_make
@pytest.mark.parametrize("user", ["0", "1000"])
def test_lab_stays_on_this_computer_and_keeps_the_token(bare_course, user):
    programs = bare_course / "programs"
    programs.mkdir()
    (programs / "id").write_text(f"#!/bin/sh\necho {user}\n", encoding="utf-8")
    (programs / "id").chmod(0o755)
    python = bare_course / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    shutil.copy(bare_course / "requirements" / "course.txt", bare_course / ".venv" / "installed-requirements.txt")
    run = make(bare_course, "lab", PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    command = run.stdout.splitlines()[-1]
    assert command.startswith("-m jupyter lab --ServerApp.ip=127.0.0.1 "), run.stdout + run.stderr
    assert ("--allow-root" in command) == (user == "0")
    assert "token=" not in command and "If no browser opens" in run.stdout


# README ------------------------------------------------------------------------------------------------------------


def test_readme_tables_list_the_lessons_that_exist():
    rows = re.findall(r"^(\| \[[^]]+\]\((notebooks/[\w/]+\.ipynb)\).*)$", text("README.md"), re.MULTILINE)
    lessons = [path.relative_to(ROOT).as_posix() for path in find_lessons()]
    road = len(find_road())
    assert [lesson for _, lesson in rows][:road] == lessons[:road]
    assert sorted(lesson for _, lesson in rows) == sorted(lessons)  # the further ones stand in groups
    slug = repository().removeprefix("https://github.com/")
    for row, lesson in rows:
        assert f"(https://colab.research.google.com/github/{slug}/blob/main/{lesson})" in row


SESSIONS = re.findall(r"^## (Session .*?)(?=^## |\Z)", text("TEACHING.md"), re.MULTILINE | re.DOTALL)
every_session = pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session[:9])


def test_there_are_sessions():
    assert SESSIONS


@every_session
def test_a_session_in_class_takes_ninety_minutes(session):
    assert sum(map(int, re.findall(r"^\| (\d+) \|", session, re.MULTILINE))) == 90


def plain(heading):
    """A heading without the number of its task, its marks and its capitals."""
    return re.sub(r"\W+", " ", re.sub(r"^Task(?: \d+)?: ", "", heading)).lower().strip()


def headings(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return {plain(heading) for source in sources for heading in re.findall(r"^#+ (.*)$", source, re.MULTILINE)}


def lessons_in(passage):
    """The lessons that a passage links, and those of the road that it names, as in lesson 03."""
    linked = [ROOT / path for path in re.findall(r"\]\((notebooks/[\w/]+\.ipynb)\)", passage)]
    numbers = re.findall(r"\blesson (\d\d)\b", passage)
    return {*linked, *(path for path in find_road() if path.stem[:2] in numbers)}


def names_in(passage):
    """What a passage gives in italics, without the labels, such as *Homework, an hour:*."""
    return [name for name in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", passage) if not name.endswith(":")]


@every_session
def test_what_a_session_names_is_a_heading_of_its_lessons(session):
    """A row of the table that gives a lesson speaks of that one, all else of those that the session gives."""
    rows = [line for line in session.splitlines() if re.match(r"\| \d+ \|", line)]
    rest = "\n".join(line for line in session.splitlines() if line not in rows)
    assert names_in("".join(rows))
    for passage in (*rows, rest):
        there = set().union(*map(headings, lessons_in(passage) or lessons_in(rest)))
        missing = [name for name in names_in(passage) if plain(name) not in there]
        assert not missing, f"no heading of that session's lessons: {missing}"


def test_the_teachers_know_what_the_check_of_the_installation_prints(capsys):
    check_installation(ROOT)
    assert f"`{capsys.readouterr().out.strip()}`" in text("TEACHING.md")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "TEACHING.md"])
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        if not re.match(r"[a-z]+:|#", target):
            assert (ROOT / target.split("#")[0]).exists(), f"the link {target} in {name} leads nowhere"


def test_versions_agree():
    version = pyproject()["project"]["version"]
    assert yaml.safe_load(text("CITATION.cff"))["version"] == version
