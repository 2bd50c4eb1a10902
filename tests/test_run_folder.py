"""Where the results of a training go: called after the photographs, kept on Google Drive, or nowhere in a rehearsal."""

import sys
import types
from pathlib import Path

import pytest

from yolo_helpers import photographs, run_folder
from yolo_helpers.run_folder import choose_folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A current folder with what the reader may have exported."""
    monkeypatch.chdir(tmp_path)
    for name in ("birds.v2/data.yaml", "my birds #1/birds.json", "a/photos.zip", "a/images/0.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/photos.zip", "photos"),
        (" a/photos.zip ", "photos"),
        ("a/", "a"),
        ("birds.v2", "birds.v2"),
        ("birds.v2/data.yaml", "birds.v2"),
        ("my birds #1/birds.json", "my birds #1"),
        ("a/images/..", "a"),
        ("upload", "upload"),
        ("https://example.org/sets/birds.zip", "birds"),
        ("HTTPS://example.org/sets/my%20birds%3A.ZIP?key=a/b.c#top", "my-birds-"),
        ("https://example.org/ds/aB3?key=x.zip", "aB3"),
        ("https://example.org/ds/", "ds"),
        ("https://example.org", "example.org"),
    ],
)
def test_results_are_called_after_the_photographs(source, name, tmp_path, capsys):
    assert choose_folder("", source, "runs") == tmp_path / "runs" / name
    assert str(tmp_path / "runs" / name) in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_a_file_in_the_current_folder_is_called_after_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "birds.v2")
    assert choose_folder("", "data.yaml", tmp_path / "runs") == tmp_path / "runs" / "birds.v2"


@pytest.mark.parametrize("source", ["", "a/photos.zip"])
def test_a_folder_that_is_named_is_taken(source, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert choose_folder(" results/first try ", source, "runs") == tmp_path / "results" / "first try"
    assert choose_folder("~/results", source, "runs") == tmp_path / "home" / "results"


def test_a_rehearsal_leaves_nothing_behind(tmp_path):
    one, other = choose_folder("", " ", "runs"), choose_folder("", "", "runs")
    assert one != other and not one.is_relative_to(tmp_path) and not one.exists() and one.parent.is_dir()


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """Colab, whose drive is mounted below the current folder; how often."""
    calls = []
    module = types.ModuleType("google.colab")
    module.drive = types.SimpleNamespace(
        mount=lambda place: calls.append(place) or (Path(place) / "MyDrive").mkdir(parents=True)
    )
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", module)
    for each in (photographs, run_folder):
        monkeypatch.setattr(each, "DRIVE", tmp_path / "drive")
    return calls


@pytest.mark.parametrize("results", ["drive/MyDrive/r7", " ./drive/MyDrive/r7 ", "{root}/drive/MyDrive/r7"])
def test_results_on_the_drive_are_kept(mounted, results, tmp_path, capsys):
    for _ in range(2):
        assert choose_folder(results.format(root=tmp_path), "", "runs") == tmp_path / "drive" / "MyDrive" / "r7"
    assert mounted == [str(tmp_path / "drive")] and "lost" not in capsys.readouterr().out


@pytest.mark.parametrize("results", ["r7", "", "driver/r7"])
def test_results_beside_the_drive_are_lost(mounted, results, tmp_path, capsys):
    choose_folder(results, "a/photos.zip", "runs")
    assert mounted == [] and f"{tmp_path / 'drive' / 'MyDrive'}" in capsys.readouterr().out
