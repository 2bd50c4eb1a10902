"""The four readers of annotations: they agree, they say where a file is wrong, and no file harms them."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.make_smears import coco_json, text_lines, voc_xml, yolo_label
from yolo_helpers.anchors import box_sizes
from yolo_helpers.annotations import Annotation, AnnotationError, get_classes, read_annotations, survey, write_lines

BCCD = Path(__file__).resolve().parents[2] / "shared" / "data" / "bccd" / "BCCD"
NAMES = ["cat", "dog"]
SIZE = (80, 100)  # height, width
FORMATS = ("text", "voc", "coco", "yolo")
ENTRIES = [
    ("a.png", SIZE, [[10, 20, 30, 40], [0, 0, 100, 80]], [1, 0]),
    ("b.png", SIZE, [], []),
    ("c.png", SIZE, [[5, 6, 7, 9]], [0]),
]


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def make(folder, format, entries=ENTRIES, names=NAMES):
    """Writes entries in a format, with their images, and returns the path to read."""
    for name, (height, width), _, _ in entries:
        (folder / "images").mkdir(exist_ok=True, parents=True)
        Image.new("RGB", (width, height)).save(folder / "images" / name)
    put(folder / "classes.txt", "".join(f"{name}\n" for name in names))
    if format == "text":
        return put(folder / "annotations.txt", text_lines(entries, prefix="images/"))
    if format == "coco":
        return put(folder / "coco.json", coco_json(entries, names))
    for entry in entries:
        stem = Path(entry[0]).stem
        if format == "voc":
            put(folder / "voc" / f"{stem}.xml", voc_xml(entry, names))
        else:
            put(folder / "labels" / f"{stem}.txt", yolo_label(entry))
    return folder / "voc" if format == "voc" else folder


def error(path, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an error comes alone, without a warning before it
        with pytest.raises(AnnotationError) as caught:
            read_annotations(path, *args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


# -------------------------------------------------------------------------------------------------- what is right


@pytest.mark.parametrize("format", FORMATS)
def test_reads_what_was_written(tmp_path, format):
    path = make(tmp_path, format)
    for chosen in (format, None):
        found, names = read_annotations(path, chosen)
        assert names == NAMES
        assert [type(a) for a in found] == [Annotation] * 3
        assert [a.image_path for a in found] == [tmp_path / "images" / name for name in ("a.png", "b.png", "c.png")]
        for annotation, (_, _, boxes, classes) in zip(found, ENTRIES, strict=True):
            assert annotation.boxes.dtype == np.float32 and annotation.classes.dtype == np.int64
            np.testing.assert_allclose(annotation.boxes, np.reshape(boxes, (-1, 4)), atol=1e-5)
            assert annotation.classes.tolist() == classes


@pytest.mark.parametrize("format", FORMATS)
def test_class_names_given_decide_on_the_order(tmp_path, format):
    path = make(tmp_path, format)
    found, names = read_annotations(path, class_names=("dog", "bird", "cat"))
    assert names == ["dog", "bird", "cat"]
    # Two formats hold names; the numbers of the other two mean those of classes.txt.
    assert found[0].classes.tolist() == [0, 2]
    (tmp_path / "classes.txt").unlink()
    found, _ = read_annotations(path, class_names=("dog", "bird", "cat"))
    assert found[0].classes.tolist() == ([0, 2] if format in ("voc", "coco") else [1, 0])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "name", ["with space.png", "100%20.png", "one (1).png", "größe-画.png", "a, b.png", "x.jpg y.png"]
)
def test_any_file_name(tmp_path, format, name):
    folder = tmp_path / "a folder (é)"
    found, _ = read_annotations(make(folder, format, [(name, SIZE, [[1, 2, 3, 4]], [1])]))
    assert found[0].image_path == folder / "images" / name
    assert found[0].boxes.shape == (1, 4)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "change", [lambda b: b"\xef\xbb\xbf" + b, lambda b: b.replace(b"\n", b"\r\n")], ids=["BOM", "CRLF"]
)
def test_byte_order_mark_and_windows_line_ends(tmp_path, format, change):
    path = make(tmp_path, format)
    expected, _ = read_annotations(path)
    for file in tmp_path.rglob("*"):
        if file.suffix in (".txt", ".xml", ".json"):
            file.write_bytes(change(file.read_bytes()))
    found, names = read_annotations(path)
    assert names == NAMES
    assert [a.boxes.tolist() for a in found] == [a.boxes.tolist() for a in expected]


def labelme(folder, stem):
    Image.new("RGB", (100, 80), (len(stem),) * 3).save(folder / f"{stem}.png")
    shape = {"label": "cat", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"}
    put(folder / f"{stem}.json", json.dumps({"shapes": [shape], "imagePath": f"{stem}.png"}).encode())


def said(read, *args, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(*args, **options)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("format", ["voc", "labelme"])
def test_photographs_without_a_file_of_their_own_are_left_out_and_said(tmp_path, format):
    path, images = tmp_path / "set", tmp_path / "set"
    if format == "voc":
        path, images = make(tmp_path / "set", "voc"), tmp_path / "set" / "images"
    else:
        path.mkdir()
        for stem in ("a", "b"):
            labelme(path, stem)
    assert said(read_annotations, path) == []
    for place in (images / "y.png", images / "x.JPG", images / "notes.txt", tmp_path / "far.png"):
        place.write_bytes(b"never opened")
    (warning,) = said(read_annotations, path)
    assert "2 photographs" in warning and "x.JPG" in warning and "y.png" not in warning
    found = survey(path)
    assert found.remarks == [warning] and not found.faults
    assert {a.image_path.name for a in found.parts["train"]}.isdisjoint({"x.JPG", "y.png"})


def test_a_photograph_of_another_part_or_with_a_broken_file_is_not_one_without(tmp_path):
    for part, stem in (("train", "a"), ("valid", "b"), ("valid", "cc")):
        (tmp_path / part).mkdir(exist_ok=True)
        labelme(tmp_path / part, stem)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / part / f"{stem}.png").rename(tmp_path / "images" / f"{stem}.png")
    for split in (None, "train", "val"):
        assert said(read_annotations, tmp_path, split=split) == []
    put(tmp_path / "valid" / "b.json", b"{")
    found = survey(tmp_path)
    assert len(found.faults) == 1 and found.remarks == []


def test_a_voc_list_may_leave_photographs_out(tmp_path):
    path = make(tmp_path, "voc")
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "more.png")
    assert len(said(read_annotations, path)) == 1
    assert said(read_annotations, path, split=put(tmp_path / "list.txt", b"a\nc\n")) == []


@pytest.mark.parametrize("format", FORMATS)
def test_up_to_a_pixel_outside_is_clipped(tmp_path, format):
    found, _ = read_annotations(make(tmp_path, format, [("a.png", SIZE, [[-1, -1, 101, 81]], [0])]))
    np.testing.assert_allclose(found[0].boxes, [[0, 0, 100, 80]])


@pytest.mark.parametrize("format", FORMATS)
def test_boxes_without_area_are_skipped_on_request_with_one_warning_that_counts(tmp_path, format):
    boxes = [[10, 10, 10, 10], [10, 10, 20, 20], [30, 30, 20, 40], [40, 40, 50, 40], [100, 5, 101, 9]]
    path = make(tmp_path, format, [("a.png", SIZE, boxes, [0, 1, 0, 1, 0])])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, _ = read_annotations(path, zero_area="skip")
    np.testing.assert_allclose(found[0].boxes, [[10, 10, 20, 20]], atol=1e-5)
    assert found[0].classes.tolist() == [1]
    message = str(caught.pop().message)
    assert not caught
    assert "4 of 5 boxes" in message and "x_min 10, y_min 10, x_max 10, y_max 10" in message
    assert caught == [] and Path(path).name in message


def test_the_warning_points_at_the_caller(tmp_path):
    path = make(tmp_path, "text", [("a.png", SIZE, [[1, 1, 1, 2]], [0]), ("b.png", SIZE, [[1, 1, 2, 2]], [0])])
    with pytest.warns(UserWarning, match="1 of 2 boxes") as caught:
        read_annotations(path, zero_area="skip")
    assert caught[0].filename == __file__


def test_text_decimals_blank_lines_tabs_and_images_without_objects(tmp_path):
    make(tmp_path, "text")
    path = put(tmp_path / "t.txt", "\n  images/a.png\t1.5,2,3.25,4e1,0  5,6,7,8,1 \n\n images/b.png \n\n")
    found, _ = read_annotations(path)
    assert found[0].boxes.tolist() == [[1.5, 2, 3.25, 40], [5, 6, 7, 8]]
    assert found[1].boxes.shape == (0, 4) and found[1].classes.shape == (0,)


def test_text_paths_beside_the_file_come_before_the_current_folder(tmp_path, monkeypatch):
    for folder in ("data", "here"):
        make(tmp_path / folder, "text")
    Image.new("RGB", (100, 80)).save(tmp_path / "here" / "only_here.png")
    path = put(tmp_path / "data" / "t.txt", "images/a.png 1,2,3,4,0\nonly_here.png 1,2,3,4,0\n")
    monkeypatch.chdir(tmp_path / "here")
    found, _ = read_annotations(path)
    assert found[0].image_path == tmp_path / "data" / "images" / "a.png"
    assert found[1].image_path.resolve() == tmp_path / "here" / "only_here.png"


@pytest.mark.parametrize("format", FORMATS)
def test_relative_paths_from_inside_the_folder(tmp_path, monkeypatch, format):
    path = make(tmp_path, format)
    monkeypatch.chdir(path if path.is_dir() else path.parent)
    found, _ = read_annotations("." if path.is_dir() else path.name)
    assert [a.image_path.resolve() for a in found] == [tmp_path / "images" / name for name, *_ in ENTRIES]


def test_voc_root_folder_jpegimages_and_file_names_gone_stale(tmp_path):
    make(tmp_path, "voc")
    (tmp_path / "images").rename(tmp_path / "JPEGImages")
    (tmp_path / "voc").rename(tmp_path / "Annotations")
    for file in (tmp_path / "Annotations").iterdir():
        text = file.read_text(encoding="utf-8")
        file.write_text(
            text.replace(".png</filename>", "</filename>").replace(">a<", r">C:\old\a.jpg<"), encoding="utf-8"
        )
    for path in (tmp_path, tmp_path / "Annotations"):
        found, _ = read_annotations(path)
        assert [a.image_path.name for a in found] == ["a.png", "b.png", "c.png"]


def test_voc_file_name_counts_where_no_image_has_the_xml_files_own(tmp_path):
    path = make(tmp_path, "voc")
    (tmp_path / "images" / "c.png").rename(tmp_path / "images" / "other.png")
    replace_in(path / "c.xml", ">c.png<", ">other.png<")
    assert read_annotations(path)[0][2].image_path == tmp_path / "images" / "other.png"


def test_voc_split_gives_order_and_the_folder_gives_the_names(tmp_path):
    path = make(tmp_path, "voc")
    split = put(tmp_path / "split.txt", "c\n\nb\n")
    found, names = read_annotations(path, split=split)
    assert [a.image_path.stem for a in found] == ["c", "b"]
    assert names == NAMES  # "dog" occurs in a.xml only


def test_voc_parts_of_an_object_are_not_objects(tmp_path):
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    path = make(tmp_path, "voc")
    file = path / "c.xml"
    put(file, file.read_text(encoding="utf-8").replace("</bndbox>", "</bndbox>" + part))
    found, names = read_annotations(path)
    assert names == NAMES and found[2].boxes.tolist() == [[5, 6, 7, 9]]


def test_coco_ids_with_gaps_any_order_and_crowds(tmp_path):
    make(tmp_path, "coco")
    data = {
        "images": [{"id": "x", "file_name": "c.png"}, {"id": 7, "file_name": "images/a.png"}],
        "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"image_id": 7, "category_id": 90, "bbox": [10.5, 20, 5, 6]},
            {"image_id": "x", "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0},
            {"image_id": "x", "category_id": 3, "bbox": [1, 2, 60, 60], "iscrowd": 1},
        ],
    }
    found, names = read_annotations(put(tmp_path / "coco.json", json.dumps(data)))
    assert names == ["cat", "dog"]
    assert [a.image_path.name for a in found] == ["c.png", "a.png"]
    assert [a.boxes.tolist() for a in found] == [[[1, 2, 4, 6]], [[10.5, 20, 15.5, 26]]]
    assert [a.classes.tolist() for a in found] == [[0], [1]]


@pytest.mark.parametrize("layout", ["images", "mixed", "train folder", "inside images/train", "names file"])
def test_yolo_layouts(tmp_path, layout):
    make(tmp_path, "yolo")
    images, labels = tmp_path / "images", tmp_path / "labels"
    path = tmp_path
    if layout == "images":
        path = images
    elif layout == "mixed":
        for file in [*images.iterdir(), *labels.iterdir()]:
            file.rename(tmp_path / file.name)
        images.rmdir(), labels.rmdir()
        (tmp_path / "._a.txt").write_bytes(b"\x00\x05")  # macOS' leavings
    elif "train" in layout:
        for folder in (images, labels):
            files = list(folder.iterdir())
            (folder / "train").mkdir()
            for file in files:
                file.rename(folder / "train" / file.name)
        if layout == "inside images/train":
            path = images / "train"
    elif layout == "names file":
        (tmp_path / "classes.txt").rename(tmp_path / "obj.names")
    found, names = read_annotations(path)
    assert names == NAMES
    assert [a.image_path.name for a in found] == ["a.png", "b.png", "c.png"]
    np.testing.assert_allclose(found[0].boxes, [[10, 20, 30, 40], [0, 0, 100, 80]], atol=1e-5)


def test_yolo_image_without_a_label_file_has_no_objects(tmp_path):
    path = make(tmp_path, "yolo")
    (tmp_path / "labels" / "b.txt").unlink()
    found, _ = read_annotations(path)
    assert [len(a.boxes) for a in found] == [2, 0, 1]


box = st.tuples(st.integers(0, 90), st.integers(0, 70), st.integers(2, 10), st.integers(2, 10))
objects = st.lists(st.tuples(box, st.integers(0, 2)), max_size=8)
name = st.text("abcXYZ 0189_-(),%&'é画", min_size=1, max_size=12).filter(lambda s: s == s.strip() and s[0] != ".")


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(name.map(str.lower), objects, min_size=1, max_size=4))
def test_round_trip_through_every_format(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("round")
    names = ["a & b", "<cell>", "Zelle ü"]
    entries = []
    for stem in sorted(pictures, key=lambda s: f"{s}.png"):
        boxes = [[x, y, x + w, y + h] for (x, y, w, h), _ in pictures[stem]]
        entries.append((f"{stem}.png", SIZE, boxes, [number for _, number in pictures[stem]]))
    if not any(boxes for _, _, boxes, _ in entries):
        entries[0] = (entries[0][0], SIZE, [[1, 1, 3, 3]], [2])
    for format in FORMATS:
        found, _ = read_annotations(make(folder / format, format, entries, names), format, names)
        by_name = {a.image_path.name: a for a in found}
        assert len(found) == len(entries)
        for file_name, _, boxes, classes in entries:
            np.testing.assert_allclose(by_name[file_name].boxes, np.reshape(boxes, (-1, 4)), atol=1e-4)
            assert by_name[file_name].classes.tolist() == classes


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_annotations_or_the_packages_own_error(tmp_path_factory, data):
    format = data.draw(st.sampled_from(FORMATS))
    folder = tmp_path_factory.mktemp("damaged")
    path = make(folder, format)
    files = sorted(f for f in folder.rglob("*") if f.suffix in (".txt", ".xml", ".json"))
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        insert = data.draw(
            st.sampled_from([b"", b"\x00", b"\xff", b"-", b"9", b"nan", b"1e999", b"[", b"\n", b" ", b'"'])
        )
        content[at : at + data.draw(st.integers(0, 3))] = insert
    file.write_bytes(content)
    try:
        found, names = read_annotations(path)
    except AnnotationError as caught:
        assert str(caught)
    else:
        for annotation in found:
            assert np.isfinite(annotation.boxes).all()
            assert (annotation.boxes[:, 2:] > annotation.boxes[:, :2]).all()
            assert ((annotation.classes >= 0) & (annotation.classes < len(names))).all()


# -------------------------------------------------------------------------------------------------- what is wrong

# Where the first box, [10, 20, 30, 40] of a.png with class 1, stands in each format.
FILE = {"text": "annotations.txt", "voc": "voc/a.xml", "coco": "coco.json", "yolo": "labels/a.txt"}
PLACE = {
    "text": "annotations.txt, line 1",
    "voc": "a.xml, line ",
    "coco": "coco.json, annotations[0]",
    "yolo": "a.txt, line 1",
}


def replace_in(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text, (old, text)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def first_box(box, number=1):
    return [("a.png", SIZE, [box], [number]), *ENTRIES[1:]]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("box", "words"),
    [
        (
            [10, 20, 10, 20],
            ["x_min 10, y_min 20, x_max 10, y_max 20", "without area", "x_max > x_min", "zero_area='skip'"],
        ),
        ([30, 20, 10, 40], ["x_min 30, y_min 20, x_max 10, y_max 40", "without area"]),
        ([10, 40, 30, 20], ["x_min 10, y_min 40, x_max 30, y_max 20", "without area"]),
        ([10, 20, 103, 40], ["x_max 103", "outside the image of 100 x 80"]),
        ([10, 20, 30, 83], ["y_max 83", "outside the image of 100 x 80"]),
        ([-3, 20, 30, 40], ["x_min -3", "outside the image"]),
        ([10, -3, 30, 40], ["y_min -3", "outside the image"]),
        ([100, 20, 101, 40], ["x_min 100", "without area"]),
    ],
    ids=["zero area", "x reversed", "y reversed", "right", "below", "left", "above", "clipped to nothing"],
)
def test_bad_boxes(tmp_path, format, box, words):
    message = error(make(tmp_path, format, first_box(box)))
    for word in [PLACE[format], *words]:
        assert word in message


BAD_LINES = [
    # format, what stands in the file, what stands there now, what the message must hold
    ("text", "10,20,30,40,1", "10,20,30,40", ["'10,20,30,40'", "4 fields", "five", "x_min,y_min,x_max,y_max,class"]),
    ("text", "10,20,30,40,1", "10,20,30,40,1,0.9", ["6 fields"]),
    ("text", "10,20,30,40,1", "10, 20, 30, 40, 1", ["'10,'", "without spaces"]),
    ("text", "10,20,30,40,1", "ten,20,30,40,1", ["'ten'", "expected a number"]),
    ("text", "10,20,30,40,1", "nan,20,30,40,1", ["'nan'", "expected a number"]),
    ("text", "10,20,30,40,1", "10,20,inf,40,1", ["'inf'", "expected a number"]),
    ("text", "10,20,30,40,1", "10,20,30,40,dog", ["'dog'", "expected a whole number"]),
    ("text", "10,20,30,40,1", "10,20,30,40,-1", ["class -1", "0 to 1", "2 names"]),
    ("text", "10,20,30,40,1", "10,20,30,40,2", ["class 2", "0 to 1"]),
    ("text", "images/a.png", "images/gone.png", ["'images/gone.png'", "not found", "correct the name"]),
    ("text", "images/a.png", "images/a", ["'images/a 10,20,30,40,1", "path of an image", ".jpg"]),
    ("text", "images/a.png ", "images/a.png,", ["path of an image"]),
    ("yolo", "1 0.2", "0.2", ["4 fields", "five: class x_centre y_centre width height"]),
    ("yolo", "1 0.2", "1 0.1 0.2", ["6 fields"]),
    ("yolo", "1 0.2", "1 zero", ["'zero", "expected a number"]),
    ("yolo", "1 0.2", "1 nan ", ["6 fields"]),
    ("yolo", "1 0.2000000000", "1 nan", ["'nan'", "expected a number"]),
    ("yolo", "1 0.2000000000", "1 20", ["20", "0 to 1, not pixels"]),
    ("yolo", "1 0.2", "dog 0.2", ["'dog'", "expected a whole number"]),
    ("yolo", "1 0.2", "1.5 0.2", ["'1.5'", "expected a whole number"]),
    ("yolo", "1 0.2", "-1 0.2", ["class -1", "0 to 1"]),
    ("yolo", "1 0.2", "2 0.2", ["class 2", "0 to 1"]),
    ("voc", "<xmin>10<", "<xmin>ten<", ["'ten'", "expected a number"]),
    ("voc", "<xmin>10<", "<xmin>NaN<", ["'NaN'", "expected a number"]),
    ("voc", "<xmin>10<", "<xmin><", ["<bndbox> has no <xmin>"]),
    ("voc", "<xmin>10</xmin>", "", ["<bndbox> has no <xmin>"]),
    ("voc", "bndbox>", "box>", ["mismatched tag"]),
    ("voc", "<name>dog</name>", "", ["<object> has no <name>"]),
    ("coco", "10,\n    20,\n    20,\n    20", "10, 20, 20", ["3 fields", "x_min, y_min, width, height"]),
    ("coco", "10,\n    20,\n    20,\n    20", '"ten", 20, 20, 20', ["'ten'", "expected a number"]),
    ("coco", "10,\n    20,\n    20,\n    20", "NaN, 20, 20, 20", ["nan", "expected a number"]),
    ("coco", "10,\n    20,\n    20,\n    20", "null, [], {}, 1", ["None", "expected a number"]),
    ("coco", "10,\n    20,\n    20,\n    20", "1" + "0" * 400 + ", 1, 1, 1", ["expected a number"]),
    ("coco", '"category_id": 2', '"category_id": 3', ["category_id 3", "[1, 2]"]),
    ("coco", '"category_id": 2', '"category_id": "dog"', ["category_id 'dog'", "[1, 2]"]),
    ("coco", '"image_id": 1', '"image_id": 9', ["image_id 9", "the id of one of the images"]),
    ("coco", '"bbox"', '"box"', ["bbox = 'None'", "a list"]),
    ("coco", '"bbox"', '"segmentation"', ["bbox with 0 fields", "only a segmentation", "export boxes"]),
]


@pytest.mark.parametrize(
    ("format", "old", "new", "words"), BAD_LINES, ids=[f"{f} {n[:20]}" for f, _, n, _ in BAD_LINES]
)
def test_bad_lines(tmp_path, format, old, new, words):
    path = make(tmp_path, format)
    replace_in(tmp_path / FILE[format], old, new)
    message = error(path, format)
    for word in [PLACE[format], *words]:
        assert word in message


@pytest.mark.parametrize(
    ("format", "place"),
    [("voc", "a.xml, line 4"), ("coco", "coco.json, annotations[0]")],
)
def test_unknown_class_name(tmp_path, format, place):
    message = error(make(tmp_path, format), class_names=["cat", "bird"])
    assert place in message and "'dog'" in message and "['cat', 'bird']" in message


@pytest.mark.parametrize(
    ("format", "content", "words"),
    [
        ("text", b"", ["annotations.txt", "no images"]),
        ("text", b"images/a.png\nimages/b.png\n", ["annotations.txt", "no boxes in this list", "labels/"]),
        ("text", b"images/a.png 1,2,3,4,0\nimages/\xff.png 1,2,3,4,0\n", ["annotations.txt, line 2", "UTF-8"]),
        ("text", b"images/a.png 1,2,3,4,0\n\nimages/./a.png 5,6,7,8,1\n", ["line 3", "a.png is already in", "line 1"]),
        ("text", b"\x00.png 1,2,3,4,0\n", ["line 1", "UTF-16", "save the file as UTF-8"]),
        ("text", b"x" * 5000 + b".png 1,2,3,4,0\n", ["line 1", "not found"]),
        ("coco", b"", ["coco.json, line 1", "broken JSON"]),
        ("coco", b'{"images": [],\n "annotations": [}', ["coco.json, line 2", "broken JSON"]),
        ("coco", b"[1, 2]", ["coco.json", "no list 'categories'"]),
        ("coco", b'{"categories": [], "images": {}, "annotations": []}', ["no list 'images'"]),
        ("coco", b'{"categories": [1], "images": [], "annotations": []}', ["categories[0]", "found id = 'None'"]),
        ("coco", b'{"categories": [], "images": [], "annotations": []}', ["coco.json", "no images"]),
        (
            "coco",
            b'{"categories": [], "images": [{"id": 1}], "annotations": []}',
            ["images[0]", "file_name = 'None'", "a text"],
        ),
        ("coco", b"[" * 100_000, ["coco.json", "cannot be read"]),
        ("coco", b'{"images": ' + b"9" * 5000 + b"}", ["coco.json", "cannot be read"]),
        ("coco", b'{"images": "\xff"}', ["coco.json, line 1", "UTF-8"]),
        ("voc", b"", ["a.xml, line 1", "broken XML", "no element found"]),
        ("voc", b"<annotation>\n<object>\n</annotation>", ["a.xml, line 3", "broken XML", "mismatched tag"]),
        ("voc", b"<html></html>", ["a.xml", "<html>", "<annotation>"]),
        ("voc", b"<annotation>\n<object><name>cat</name></object></annotation>", ["a.xml, line 2", "no <bndbox>"]),
        ("voc", "<annotation>ä</annotation>".encode("latin-1"), ["a.xml, line 1", "UTF-8"]),
        ("voc", "<annotation></annotation>".encode("utf-16-le"), ["a.xml, line 1", "UTF-16"]),
        ("voc", b"<annotation><filename>b.png</filename></annotation>", ["names 'b.png'", "'a.png'", "a.xml"]),
    ],
)
def test_bad_files(tmp_path, format, content, words):
    path = make(tmp_path, format)
    put(tmp_path / FILE[format], content)
    message = error(path, format)
    for word in words:
        assert word in message


def test_coco_ids_twice(tmp_path):
    path = make(tmp_path, "coco")
    original = path.read_text(encoding="utf-8")
    for key, place in (("images", "images[1]"), ("categories", "categories[1]")):
        data = json.loads(original)
        data[key][1]["id"] = data[key][0]["id"]
        put(path, json.dumps(data))
        message = error(path)
        assert f"coco.json, {place}" in message and "twice" in message


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"not an image", "not an image"), (b"\x89PNG\r\n\x1a\n\x00", "does not open")],
    ids=["zero bytes", "text", "cut off in the header"],
)
def test_images_that_do_not_open(tmp_path, format, content, words):
    path = make(tmp_path, format)
    put(tmp_path / "images" / "a.png", content)
    message = error(path)
    assert FILE[format].split("/")[-1] in message and "a.png" in message and words in message


@pytest.mark.parametrize("format", ["text", "voc", "coco", "yolo"])
def test_a_missing_image(tmp_path, format):
    path = make(tmp_path, format)
    (tmp_path / "images" / "a.png").unlink()
    message = error(path)
    assert FILE[format].split("/")[-1] in message
    assert "a.txt: there is no image of this name" in message if format == "yolo" else "was not found" in message


def test_voc_split_names_a_file_that_is_not_there(tmp_path):
    path, split = make(tmp_path, "voc"), put(tmp_path / "train.txt", "a\nzebra\n")
    message = error(path, split=split)
    assert "train.txt, line 2" in message and "'zebra'" in message and "voc" in message
    assert "is already in" in error(path, split=put(split, "a\nb\na\n"))
    assert "train.txt, line 3" in error(path, split=put(split, "a\nb\na\n"))
    assert "gone.txt" in error(path, split=tmp_path / "gone.txt")
    assert "for Pascal VOC alone" in error(make(tmp_path, "text"), split=split)


def test_yolo_two_images_of_one_name(tmp_path):
    path = make(tmp_path, "yolo")
    Image.new("RGB", (100, 80)).save(tmp_path / "images" / "a.jpg")
    message = error(path)
    assert "a.jpg" in message and "share one .txt" in message


def test_yolo_without_any_label_file_is_not_a_data_set_of_empty_images(tmp_path):
    make(tmp_path, "yolo")
    for file in (tmp_path / "labels").iterdir():
        file.unlink()
    assert "no .txt file of an image's name" in error(tmp_path, "yolo")


@pytest.mark.parametrize("format", ["text", "yolo"])
def test_class_names_not_known(tmp_path, format):
    path = make(tmp_path, format)
    (tmp_path / "classes.txt").unlink()
    message = error(path)
    assert path.name in message and "classes.txt" in message and "get_classes(" in message
    assert read_annotations(path, class_names=NAMES)[1] == NAMES


def test_arguments_that_make_no_sense(tmp_path):
    path = make(tmp_path, "text")
    assert "'pascal'" in error(path, "pascal") and "text, voc, coco, yolo" in error(path, "pascal")
    assert "'ignore'" in error(path, zero_area="ignore")
    assert "expected a list" in error(path, class_names="classes.txt")
    assert "each name once" in error(path, class_names=["cat", "cat"])
    assert "at least one" in error(path, class_names=[])
    assert "a folder of .xml files" in error(path, "voc")
    assert ".json file" in error(tmp_path, "coco")


def test_a_format_that_cannot_be_recognised(tmp_path):
    assert "no such file or folder" in error(tmp_path / "gone.txt")
    assert "csv file is not read: export as YOLO, COCO" in error(put(tmp_path / "table" / "data.csv", "a,b"))
    for path in (tmp_path / "empty", put(tmp_path / "data.abc", "a,b")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        message = error(path)
        assert path.name in message and all(word in message for word in ("keras-yolo3", "Pascal VOC", "COCO", "YOLO"))
    assert "'.abc'" in error(tmp_path / "data.abc")
    make(tmp_path, "yolo")
    (tmp_path / "labels" / "a.txt").rename(tmp_path / "Annotations.xml")
    assert "voc and yolo" in error(tmp_path)


BILLION_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    + "]><annotation><filename>&a9;</filename></annotation>"
)


@pytest.mark.parametrize("kind", ["laughs", "file", "parameter"])
def test_xml_that_attacks_is_refused_before_it_is_read(tmp_path, kind):
    secret = put(tmp_path / "secret", "the secret")
    attack = {
        "laughs": BILLION_LAUGHS,
        "file": f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><annotation>&x;</annotation>',
        "parameter": f'<!DOCTYPE a SYSTEM "{secret.as_uri()}"><annotation></annotation>',
    }[kind]
    path = make(tmp_path, "voc")
    put(path / "a.xml", attack)
    message = error(path)
    assert "a.xml" in message and "<!DOCTYPE" in message and "the secret" not in message


def test_entities_of_xml_itself_work(tmp_path):
    found, names = read_annotations(make(tmp_path, "voc", [("a&b.png", SIZE, [[1, 2, 3, 4]], [0])], ["<R&D>"]))
    assert names == ["<R&D>"] and found[0].image_path.name == "a&b.png"


def test_each_image_is_looked_at_once(tmp_path, monkeypatch):
    path, calls = make(tmp_path, "text"), []
    opened = Image.open
    monkeypatch.setattr("PIL.Image.open", lambda file: calls.append(Path(file.name)) or opened(file))
    found, _ = read_annotations(path)
    assert [p.name for p in calls] == ["a.png", "b.png", "c.png"]
    assert {a.size for a in found} == {SIZE} and len(box_sizes(found, (64, 64))) == 3
    assert len(calls) == 3


def test_boxes_are_checked_against_the_image_as_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 100)).save(tmp_path / "a.jpg", exif=exif)  # stored upright, seen 100 wide and 80 high
    path = put(tmp_path / "t.txt", "a.jpg 0,0,100,80,0\n")
    assert read_annotations(path, class_names=["x"])[0][0].boxes.tolist() == [[0, 0, 100, 80]]
    assert "outside" in error(put(path, "a.jpg 0,0,80,100,0\n"), class_names=["x"])


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_as_lines_is_read_again(tmp_path, format):
    found, names = read_annotations(make(tmp_path / "data with, commas", format))
    found[0].boxes[:1] += np.float32(0.1)  # a number that no short decimal gives
    (tmp_path / "run").mkdir()
    write_lines(tmp_path / "run" / "train.txt", found)
    again, _ = read_annotations(tmp_path / "run" / "train.txt", class_names=names)
    for one, other in zip(found, again, strict=True):
        assert one.image_path.absolute() == other.image_path
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.classes, other.classes)


# ---------------------------------------------------------------------------------------------------- class files


def test_get_classes(tmp_path):
    path = put(tmp_path / "c.txt", b"\xef\xbb\xbfred cell\r\n gr\xc3\xbcn \r\n\r\n\r\n")
    assert get_classes(path) == get_classes(str(path)) == ["red cell", "grün"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "line 1: found an empty line"),
        ("a\n\nb\n", "line 2: found an empty"),
        ("a\nb\na\n", "line 3: the class 'a'"),
    ],
)
def test_bad_class_files(tmp_path, content, words):
    with pytest.raises(AnnotationError, match=r"c\.txt, " + words):
        get_classes(put(tmp_path / "c.txt", content))
    with pytest.raises(AnnotationError, match=r"gone\.txt: there is no such file"):
        get_classes(tmp_path / "gone.txt")


# -------------------------------------------------------------------------------------------- the real photographs

with_bccd = pytest.mark.skipif(not BCCD.is_dir(), reason=f"needs the BCCD photographs, {BCCD}")


@with_bccd
def test_bccd_reads_whole():
    with pytest.warns(UserWarning) as caught:
        found, names = read_annotations(BCCD / "Annotations", zero_area="skip")
    assert len(found) == 364 and names == ["Platelets", "RBC", "WBC"]
    # Both boxes without area are red cells.
    assert np.bincount(np.concatenate([a.classes for a in found])).tolist() == [361, 4155 - 2, 372]
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "2 of 4888 boxes" in message and "BloodImage_00338.xml, line 158" in message


@with_bccd
def test_bccd_boxes_without_area_are_errors_by_default():
    message = error(BCCD)
    assert "BloodImage_00338.xml, line 158" in message and "without area" in message


@with_bccd
@pytest.mark.parametrize(("split", "images", "skipped"), [("train", 205, 1), ("val", 87, 1), ("test", 72, 0)])
def test_bccd_splits(split, images, skipped):
    path = BCCD / "ImageSets" / "Main" / f"{split}.txt"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, names = read_annotations(BCCD, split=path, zero_area="skip")
    assert len(found) == images and len(caught) == skipped
    assert names == ["Platelets", "RBC", "WBC"]
    order = path.read_text(encoding="utf-8").split()
    assert [a.image_path.stem for a in found] == order
