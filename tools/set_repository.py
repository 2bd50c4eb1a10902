"""Give the course its address: rewrites pyproject.toml, the Colab badges, the set-up cells, texts and CITATION.cff.

python tools/set_repository.py https://github.com/someone/yolo-identity-loss
"""

import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The Colab badges need a repository on GitHub, so no other address is taken.
ADDRESS = re.compile(r"https://github\.com/([A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}/[A-Za-z0-9._-]*[A-Za-z0-9_-])")
# README.md and the site's first page say what does not work while the owner is a placeholder; the note then goes.
PLACEHOLDER = "OWNER"
NOTE = re.compile(r"<!-- placeholder -->.*?<!-- /placeholder -->\n*", re.DOTALL)


def repository(root: Path = ROOT) -> str:
    """Return the course's address as pyproject.toml has it.

    Args:
        root: folder of the course.
    """
    with (root / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]["urls"]["Repository"]


def site(root: Path = ROOT) -> str:
    """Return the address at which GitHub Pages publishes the site of the course's repository.

    Args:
        root: folder of the course.
    """
    return _site(repository(root).removeprefix("https://github.com/"))


def _site(slug):
    owner, name = slug.split("/")
    return f"https://{owner}.github.io/{name}/"


def files_with_address(root: Path = ROOT) -> list[Path]:
    """List the files that may hold the address: notebooks and the texts in the root and in .github.

    Args:
        root: folder of the course.
    """
    patterns = (
        "*.toml",
        "*.md",
        "*.cff",
        "data/*.md",
        "site/**/*.md",
        "site/**/*.po",
        ".github/**/*.yml",
        ".github/**/*.md",
        "notebooks/**/*.ipynb",
    )
    found = (path for pattern in patterns for path in root.glob(pattern))
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def set_repository(url: str, root: Path = ROOT) -> list[Path]:
    """Replace the course's address everywhere; either all files change or none.

    Args:
        url: the new address, https://github.com/OWNER/NAME; a closing slash or .git is dropped.
        root: folder of the course.

    Returns:
        The files that changed.

    Raises:
        ValueError: the address has another form.
    """
    url = url.strip().removesuffix("/").removesuffix(".git")
    match = ADDRESS.fullmatch(url)
    if match is None:
        raise ValueError(f"{url!r} is not an address of the form https://github.com/OWNER/NAME: give one like that.")
    old, new = repository(root).removeprefix("https://github.com/"), match[1]
    slug = re.compile(rf"(github\.com/|githubusercontent\.com/|/github/|/gh/){re.escape(old)}(?![\w-])")
    written = []
    try:
        for path in files_with_address(root):
            before = path.read_bytes()
            after = slug.sub(lambda m: m[1] + new, before.decode("utf-8")).replace(_site(old), _site(new))
            if not new.startswith(f"{PLACEHOLDER}/"):
                after = NOTE.sub("", after)
            if after.encode("utf-8") != before:
                beside = path.with_name(f".{path.name}.part")
                written.append((beside, path))
                beside.write_bytes(after.encode("utf-8"))
        for beside, path in written:
            os.replace(beside, path)
    finally:
        for beside, _ in written:
            beside.unlink(missing_ok=True)
    return [path for _, path in written]


def main() -> int:
    """Read the address from the command line; the exit status is 2 when it is none."""
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 2
    try:
        changed = set_repository(sys.argv[1])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for path in changed:
        print(f"changed {path.relative_to(ROOT)}")
    print(f"The address is {repository()}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
