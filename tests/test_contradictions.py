"""Files that contradict themselves or their picture, as people have them: read rightly, refused, or warned of.

Each row of the table makes a small data set and says what has to come of it: the boxes of the first photograph, words
of a refusal, or both boxes and words of a warning. Nothing may be misread without a word.
"""

import json
import re
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from yolo_helpers.annotations import AnnotationError, read_annotations

SQUARE = [10, 20, 30, 40]


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def picture(path, size=(100, 80), orientation=1, format=None):
    """Each has a grey of its own, which only shows that files differ."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, (sum(path.name.encode()) % 256,) * 3).save(path, format, exif=exif)
    return path


def ob(name, *boxes, tag="bndbox"):
    corners = ("xmin", "ymin", "xmax", "ymax")
    inside = ["".join(f"<{c}>{v}</{c}>" for c, v in zip(corners, box, strict=True)) for box in boxes]
    return f"<object><name>{name}</name>" + "".join(f"<{tag}>{each}</{tag}>" for each in inside) + "</object>\n"


def voc(objects, filename="a.jpg", size=(100, 80)):
    sides = "" if size is None else "<size><width>{}</width><height>{}</height><depth>3</depth></size>".format(*size)
    return f"<annotation><filename>{filename}</filename>{sides}\n{objects}</annotation>"


def coco(boxes=(SQUARE[:2] + [20, 20],), size=(100, 80), file_name="a.jpg", image=None, **annotation):
    images = [{"id": 1, "file_name": file_name, "width": size[0], "height": size[1]} | (image or {})]
    rows = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": list(box)} | annotation for n, box in enumerate(boxes, 1)
    ]
    return json.dumps({"images": images, "annotations": rows, "categories": [{"id": 1, "name": "cat"}]})


# ------------------------------------------------------------------- what makes a data set: (folder) -> path, options


def of_voc(xml, name="a.xml", picture_name="a.jpg", names=None, **options):
    def make(folder):
        picture(folder / picture_name, **options)
        put(folder / name, xml)
        return folder, {"class_names": names} if names else {}

    return make


def of_coco(text, picture_name="a.jpg", **options):
    def make(folder):
        picture(folder / picture_name, **options)
        return put(folder / "coco.json", text), {}

    return make


def of_lines(text, picture_name="a.jpg", names=("cat", "dog"), **options):
    def make(folder):
        picture(folder / picture_name, **options)
        return put(folder / "lines.txt", text), {"class_names": names}

    return make


def of_yolo(label, picture_name="a.jpg", names=("cat", "dog"), label_name="a.txt", **options):
    def make(folder):
        picture(folder / picture_name, **options)
        put(folder / label_name, label)
        return folder, {"class_names": names} if names else {}

    return make


def of_labelme(shape, image_path="a.jpg", size=(100, 80)):
    def make(folder):
        picture(folder / "a.jpg")
        content = {"shapes": [shape], "imagePath": image_path, "imageWidth": size[0], "imageHeight": size[1]}
        put(folder / "a.json", json.dumps(content))
        return folder, {}

    return make


def of_one_xml(folder):
    return put(folder / "a.xml", voc(CAT)), {}


def several(*makers):
    """The first one's path and options, with what the others put beside it."""

    def make(folder):
        return [each(folder) for each in makers][0]

    return make


def beside(name, content=None, **options):
    return lambda folder: put(folder / name, content) if content is not None else picture(folder / name, **options)


def with_options(maker, **more):
    def make(folder):
        path, options = maker(folder)
        return path, options | more

    return make


def photographs(count, label=""):
    def make(folder):
        for number in range(count):
            picture(folder / f"{number}.jpg")
            put(folder / f"{number}.txt", label)
        return folder, {"class_names": ["cat"]}

    return make


CAT = ob("cat", SQUARE)
UPRIGHT = (80, 100)  # of a picture stored as 100 x 80 that a camera turned
HALVES = "0 0.2 0.375 0.2 0.25"  # SQUARE on 100 x 80, as parts
NFD = unicodedata.normalize("NFD", "größe.jpg")

READ = {
    "two boxes in one object": (of_voc(voc(ob("cat", SQUARE, [50, 50, 60, 60]))), [SQUARE, [50, 50, 60, 60]]),
    "an area of more digits than a number has": (of_coco(coco(area=int("9" * 400))), [SQUARE]),
    "an outline of such": (of_coco(coco(segmentation=[[1, 2, int("9" * 400), 4]])), [SQUARE]),
    "drawn after the camera's rotation": (
        of_voc(voc(ob("cat", [10, 60, 40, 79]), size=UPRIGHT), orientation=6),
        [[10, 60, 40, 79]],
    ),
    "a size off by one": (of_voc(voc(CAT, size=(99, 81))), [SQUARE]),
    "a size of nothing": (of_voc(voc(CAT, size=(0, 0))), [SQUARE]),
    "a size below nothing": (of_coco(coco(size=(-1, -1))), [SQUARE]),
    "no size": (of_voc(voc(CAT, size=None)), [SQUARE]),
    "a size that is no number": (of_voc(voc(CAT, size=("", "?"))), [SQUARE]),
    "no crowd, as a text": (of_coco(coco(iscrowd="0")), [SQUARE]),
    "ids as texts": (of_coco(coco(image_id="1", category_id="1")), [SQUARE]),
    "ids as decimals": (of_coco(coco(image_id=1.0, category_id=1.0)), [SQUARE]),
    "coordinates as texts": (of_coco(coco([["10", "20", "20", "20"]])), [SQUARE]),
    "a picture of another suffix": (of_voc(voc(CAT), picture_name="a.png"), [SQUARE]),
    "a picture of a capital suffix": (of_voc(voc(CAT), picture_name="a.JPG"), [SQUARE]),
    "a file name without suffix": (of_voc(voc(CAT, filename="a")), [SQUARE]),
    "a name in two forms of Unicode": (of_lines("größe.jpg 10,20,30,40,0", NFD), [SQUARE]),
    "likewise in YOLO": (of_yolo(HALVES, NFD, label_name="größe.txt"), [SQUARE]),
    "a class in two forms of Unicode": (
        of_voc(voc(ob(unicodedata.normalize("NFD", "Übung"), SQUARE)), names=["Übung"]),
        [SQUARE],
    ),
    "Latin letters as the file declares them": (
        of_voc(('<?xml version="1.0" encoding="ISO-8859-1"?>' + voc(ob("Übung", SQUARE))).encode("latin-1")),
        [SQUARE],
    ),
    "UTF-16 with its mark": (of_voc(voc(ob("Übung", SQUARE)).encode("utf-16")), [SQUARE]),
    "a class as NumPy writes it": (of_yolo("0.000000e+00 2.0e-01 3.75e-01 2.0e-01 2.5e-01"), [SQUARE]),
    "a JPEG called JFIF": (
        several(of_yolo(HALVES, "b.jpg"), beside("a.jfif", format="JPEG"), beside("b.txt", "")),
        [SQUARE],
    ),
    "a PNG called JPG": (of_yolo(HALVES, format="PNG"), [SQUARE]),
    "class names beside the labels": (
        several(of_yolo(HALVES, names=None), beside("labels.txt", "cat\ndog\n")),
        [SQUARE],
    ),
    "some photographs without object": (several(of_yolo(HALVES), beside("b.jpg"), beside("b.txt", "")), [SQUARE]),
    "two copies of one picture": (several(of_coco(coco(), "JPEGImages/a.jpg"), beside("images/a.jpg")), [SQUARE]),
    "JPEGImages and labels": (of_yolo(HALVES, "JPEGImages/a.jpg", label_name="labels/a.txt"), [SQUARE]),
    "a class called yes": (
        several(of_yolo(HALVES, names=None), beside("data.yaml", "train: ./\nnc: '2'\nnames: [yes, no]\n")),
        [SQUARE],
    ),
    "keys in capitals": (
        several(of_yolo(HALVES, names=None), beside("data.yaml", "Train: .\nNames: [cat]\n")),
        [SQUARE],
    ),
    "beside what a training and its detections left": (
        several(
            of_yolo(HALVES),
            *(beside(f"run/{name}", "{}") for name in ("settings.json", "network.json", "train.txt")),
            beside("run/found-0005.png"),
            beside("found/a.jpg.png"),
            beside("found/a.jpg.json", "{}"),
        ),
        [SQUARE],
    ),
    "nothing but background, on purpose": (with_options(photographs(3), allow_empty=True), []),
    "one pixel of one": (of_lines("a.jpg 0,0,1,1,0", size=(1, 1)), [[0, 0, 1, 1]]),
    "a box in the corner": (of_lines("a.jpg 0,0,2,3,0"), [[0, 0, 2, 3]]),
    "folders in capitals": (
        several(
            of_yolo(HALVES, "Images/a.jpg", label_name="Labels/a.txt"),
            beside("Images/b.jpg"),
            beside("Labels/b.txt", ""),
        ),
        [SQUARE],
    ),
    "names given in the other form of Unicode": (
        of_voc(voc(ob("Übung", SQUARE)), names=[unicodedata.normalize("NFD", "Übung")]),
        [SQUARE],
    ),
    "paths of Windows": (several(of_lines("images\\a.jpg 10,20,30,40,0", "b.jpg"), beside("images/a.jpg")), [SQUARE]),
    "pictures elsewhere": (
        lambda folder: (
            put(folder / "set" / "a.xml", voc(CAT)).parent,
            {"images": picture(folder / "photos" / "a.jpg").parent},
        ),
        [SQUARE],
    ),
}

REFUSED = {
    "a size of another picture": (of_voc(voc(CAT, size=(4000, 3200))), r"a\.xml: .*4000 x 3200 .*100 x 80"),
    "likewise in COCO": (of_coco(coco(size=(4000, 3200))), r"coco\.json, images\[0\]: .*4000 x 3200 .*100 x 80"),
    "width and height exchanged": (of_voc(voc(CAT, size=(80, 100))), r"80 x 100 .*100 x 80, the same turned"),
    "parts in VOC": (of_voc(voc(ob("cat", [0.1, 0.2, 0.6, 0.7]))), r"a\.xml, line 2: .*parts of the image.*pixels"),
    "parts in COCO": (of_coco(coco([[0.1, 0.1, 0.3, 0.2]])), r"annotations\[0\]: .*parts of the image.*pixels"),
    "parts in lines": (of_lines("a.jpg 0.34,0.29,0.72,0.46,0"), r"lines\.txt, line 1: .*parts of the image.*pixels"),
    "a size of another picture in labelme": (
        of_labelme({"label": "cat", "shape_type": "rectangle", "points": [[1, 2], [3, 4]]}, size=(4000, 3200)),
        r"a\.json: .*4000 x 3200 .*100 x 80",
    ),
    "the whole picture as parts": (of_voc(voc(ob("cat", [0, 0, 1, 1]))), r"parts of the image"),
    "pixels in YOLO": (of_yolo("0 20 30 20 20"), r"a\.txt, line 1: .*parts of the image from 0 to 1, not pixels"),
    "percent in YOLO": (of_yolo("0 20.0 37.5 20.0 25.0"), r"line 1: .*percent"),
    "corners in YOLO": (of_yolo("0 0.1 0.25 0.9 0.95"), r"line 1: .*corners in place of width and height"),
    "corners in COCO": (of_coco(coco([[60, 40, 90, 70]])), r"annotations\[0\]: .*corners in place of width and height"),
    "corners inside, by the areas": (
        of_coco(coco([[10, 20, 30, 40]], area=400)),
        r"coco\.json: every area fits .*corners",
    ),
    "sizes in lines": (of_lines("a.jpg 60,40,20,20,0"), r"line 1: .*width and height in place of x_max and y_max"),
    "y before x": (of_lines("a.jpg 10,60,40,90,0"), r"line 1: .*x and y have changed places"),
    "a box of another picture": (of_lines("a.jpg 10,60,400,900,0"), r"line 1: .*outside.*another image"),
    "a box that sticks out": (of_lines("a.jpg 90,60,106,70,0"), r"line 1: .*outside='clip'.*--outside"),
    "drawn before the rotation, by the place": (
        of_lines("a.jpg 60,10,95,40,0", orientation=6),
        r"line 1: .*before the camera's rotation",
    ),
    "a box that sticks out of a picture with a rotation, where another is right as it is seen": (
        of_lines("a.jpg 60,10,82,40,0 10,60,40,95,0", orientation=6),
        r"line 1: (?!.*rotation).*outside='clip'",
    ),
    "a box that sticks out a little, and would fit before the rotation": (
        of_lines("a.jpg 60,10,82,40,0 10,10,40,40,0", orientation=6),
        r"line 1: (?!.*rotation).*outside='clip'",
    ),
    "far outside with a rotation, where another is right as it is seen": (
        of_lines("a.jpg 60,10,95,70,0 10,60,40,95,0", orientation=6),
        r"line 1: (?!.*rotation).*outside",
    ),
    "parts, which no rotation mends": (
        of_yolo("0 0.95 0.5 0.5 0.2", orientation=6),
        r"line 1: (?!.*rotation).*outside",
    ),
    "sticks out a little, and would fit with x and y exchanged": (
        of_lines("a.jpg 10,60,40,83,0"),
        r"line 1: .*outside='clip'.*x and y have changed places",
    ),
    "a polygon": (of_yolo("0 0.1 0.1 0.2 0.1 0.2 0.2"), r"line 1: found 7 fields.*polygon"),
    "a turned box": (of_yolo("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2"), r"line 1: found 9 fields.*turned box"),
    "a score": (of_yolo(f"{HALVES} 0.93"), r"line 1: found 6 fields.*score"),
    "commas in YOLO": (of_yolo(HALVES.replace(" ", ",")), r"line 1: found 1 fields.*blanks"),
    "decimal commas": (of_yolo(HALVES.replace(".", ",")), r"line 1: found '0,2'.*point"),
    "a polygon in VOC": (of_voc(voc(ob("cat", SQUARE, tag="polygon"))), r"a\.xml, line 2: .*<polygon>"),
    "a segmentation alone": (of_coco(coco([[]], segmentation=[[1, 1, 9, 1, 9, 9]])), r"only a segmentation"),
    "all a crowd": (of_coco(coco(iscrowd=1)), r"no object .*crowd.*--allow-empty"),
    "a crowd or not": (of_coco(coco(iscrowd="maybe")), r"annotations\[0\]: found iscrowd = 'maybe'"),
    "all without area": (
        with_options(of_lines("a.jpg 5,5,5,9,0"), zero_area="skip"),
        r"no object .*no area",
    ),
    "three empty label files": (photographs(3), r"no object on any of 3 photographs.*--allow-empty"),
    "no annotations in COCO": (of_coco(coco([])), r"no object on any of 1 photographs.*--allow-empty"),
    "no objects in VOC": (of_voc(voc(""), names=["cat"]), r"no object on any of 1 photographs.*--allow-empty"),
    "objects in another element": (of_voc(voc(f"<objects>{CAT}</objects>")), r"a\.xml, line 2: .*directly"),
    "two names of one object": (
        of_voc(voc(CAT.replace("<name>", "<name>dog</name><name>"))),
        r"a\.xml, line 2: <object> has 2 times <name>",
    ),
    "two spellings of a class": (
        of_voc(voc(CAT + ob("Cat", [50, 50, 60, 60]))),
        r"a\.xml, line 3: found the class 'Cat', and 'cat' in .*a\.xml, line 2.*--classes",
    ),
    "a blank or a line between": (
        of_voc(voc(ob("red cell", SQUARE) + ob("red_cell", [50, 50, 60, 60]))),
        r"line 3: found the class 'red_cell', and 'red cell'",
    ),
    "a class in capitals": (of_voc(voc(ob("CAT", SQUARE)), names=["cat", "dog"]), r"line 2: .*most likely 'cat'"),
    "classes counted from 1": (of_yolo("2 0.2 0.375 0.2 0.25"), r"line 1: found class 2.*counted from 1"),
    "a file name of another picture": (
        several(of_voc(voc(CAT, filename="b.jpg")), beside("b.jpg")),
        r"a\.xml: <filename> names 'b\.jpg', but 'a\.jpg'",
    ),
    "likewise in labelme": (
        several(
            of_labelme({"label": "cat", "shape_type": "rectangle", "points": [[10, 20], [30, 40]]}, "b.jpg"),
            beside("b.jpg"),
        ),
        r"a\.json: imagePath names 'b\.jpg', but 'a\.jpg'",
    ),
    "two file names": (of_voc(voc(CAT).replace("<filename>", "<filename>b.jpg</filename><filename>")), r"2 times"),
    "a circle": (
        of_labelme({"label": "cat", "shape_type": "circle", "points": [[1, 2], [3, 4]]}),
        r"shapes\[0\]: .*circle",
    ),
    "labels in two folders": (
        several(of_yolo(HALVES, "images/a.jpg", label_name="labels/a.txt"), beside("images/a.txt", "")),
        r"images.a\.txt: .*labels.a\.txt is there too",
    ),
    "annotations in two folders": (
        several(of_voc(voc(CAT)), beside("Annotations/a.xml", voc(CAT))),
        r"there are \.xml files here and in .*Annotations",
    ),
    "two pictures of the file's name": (
        several(of_voc(voc(CAT, filename="a")), beside("a.png")),
        r"a\.xml: a\.jpg and a\.png both",
    ),
    "another encoding than declared": (
        of_voc('<?xml version="1.0" encoding="ISO-8859-1"?>' + voc(ob("Übung", SQUARE))),
        r"a\.xml, line 1: .*iso-8859-1.*is UTF-8",
    ),
    "Latin letters undeclared": (of_voc(voc(ob("Übung", SQUARE)).encode("cp1252")), r"a\.xml, line 2: not UTF-8"),
    "UTF-16 lines": (of_lines("a.jpg 10,20,30,40,0".encode("utf-16-le")), r"line 1: .*UTF-16"),
    "a photograph that is not read": (
        several(of_yolo(HALVES, "b.jpg"), beside("a.heic", "?"), beside("b.txt", "")),
        r"a\.txt: its image 'a\.heic'.*JPEG",
    ),
    "likewise in lines": (
        several(of_lines("a.jpg 10,20,30,40,0", "b.jpg"), beside("a.heic", "?")),
        r"line 1: .*a\.heic was, a kind that is not read",
    ),
    "a picture of another suffix in lines": (
        of_lines("a.jpg 10,20,30,40,0", "a.png"),
        r"line 1: .*a\.png was: if that is the image",
    ),
    "class names under a strange name": (
        several(of_yolo(HALVES), beside("animals.txt", "cat\ndog\n")),
        r"animals\.txt: this looks like class names.*--classes",
    ),
    "a list among the labels": (
        several(of_yolo(HALVES), beside("b.jpg"), beside("some.txt", "b.jpg\n")),
        r"some\.txt: this looks like a list of images",
    ),
    "a label called a.jpg.txt": (
        several(of_yolo(HALVES, "b.jpg", label_name="b.txt"), beside("a.jpg"), beside("a.jpg.txt", HALVES)),
        r"a\.jpg\.txt: .*rename the file a\.txt",
    ),
    "two lists of class names": (
        several(of_yolo(HALVES, names=None), beside("classes.txt", "cat\ndog\n"), beside("obj.names", "dog\ncat\n")),
        r"classes\.txt: its class names are others than those of .*obj\.names",
    ),
    "a picture that is nowhere": (of_lines("b.jpg 10,20,30,40,0"), r"line 1: .*'b\.jpg' was not found.*--images"),
    "two pictures of one name": (
        several(of_coco(coco(size=(-1, -1)), "JPEGImages/a.jpg"), beside("images/a.jpg", size=(200, 160))),
        r"images\[0\]: both .*images.a\.jpg and .*JPEGImages.a\.jpg could be meant",
    ),
    "two that could be meant": (
        several(of_lines("x/c.jpg 10,20,30,40,0"), beside("images/c.jpg"), beside("data/c.jpg")),
        r"line 1: .*could be meant",
    ),
    "a table": (of_lines("a.jpg,10,20,30,40,cat"), r"line 1: .*table \(CSV\)"),
    "a size of more digits than a number has": (
        of_coco(coco([[90, 90, 90, 90]]).replace('"width": 100', f'"width": {"9" * 400}')),
        r"annotations\[0\]: .*outside",
    ),
    "class names that are no list": (
        several(of_yolo(HALVES, names=None), beside("data.yaml", "train: .\nnames: |\n  0: cat\n  1: dog\n")),
        r"data\.yaml, line 2: found names = .*expected a list",
    ),
    "outlines that fit corners": (
        of_coco(coco([[10, 20, 30, 40]], segmentation=[[10, 20, 30, 20, 30, 40, 10, 40]])),
        r"coco\.json: every outline fits .*corners",
    ),
    "corners in YOLO that stick out a little": (of_yolo("0 0.3 0.3 0.7 0.7"), r"corners in place of width and height"),
    "a corner in place of the centre": (of_yolo("0 0 0.25 0.2 0.25"), r"a corner in place of the centre"),
    "the centre in place of the corner": (of_coco(coco([[70, 60, 50, 30]])), r"the centre in place of the corner"),
    "x_min, x_max, y_min, y_max": (of_lines("a.jpg 20,60,10,30,0"), r"x_min, x_max, y_min, y_max in place of"),
    "parts without area": (of_lines("a.jpg 0.2,0.375,0.2,0.25,0"), r"parts of the image"),
    "a name missing in the list": (
        of_yolo(f"{HALVES}\n1 0.5 0.5 0.2 0.2", names=("cat",)),
        r"line 2: found class 1, expected 0, since there is one name: .*add the missing name",
    ),
    "lists of two annotators": (
        several(
            of_yolo(HALVES, names=None),
            beside("classes.txt", "cat\ndog\n"),
            beside("more/classes.txt", "dog\ncat\n"),
            beside("more/b.jpg"),
            beside("more/b.txt", HALVES),
        ),
        r"more.classes\.txt: its class names, \['dog', 'cat'\], are others than those of .*classes\.txt",
    ),
    "a folder that is not there": (
        several(
            of_yolo(HALVES, "images/a.jpg", label_name="labels/a.txt", names=None),
            beside("data.yaml", "train: [night/images, images]\nnames: [cat]\n"),
        ),
        r"data\.yaml, line 1: 'night/images' was not found",
    ),
    "the folder of another data set": (
        several(
            of_yolo(HALVES, "images/train/a.jpg", label_name="labels/train/a.txt", names=None),
            beside("data.yaml", "train: ../birds/images/train\nnames: [eagle]\n"),
        ),
        r"'\.\./birds/images/train' was not found",
    ),
    "numbers before the names": (
        several(of_yolo(HALVES, names=None), beside("classes.txt", "0 cat\n1 dog\n")),
        r"classes\.txt, line 1: found numbers before the names",
    ),
    "names with a comma": (
        several(of_yolo(HALVES, names=None), beside("classes.txt", "cat,dog\n")),
        r"classes\.txt, line 1: found 'cat,dog'.*one name per line",
    ),
    "a name that cannot be seen": (
        of_voc(voc(CAT + ob("cat\u200b", [50, 50, 60, 60]))),
        r"a\.xml, line 3: found the class .*--classes",
    ),
    "an image in another folder": (
        several(of_yolo(HALVES, "images/train/a.jpg", label_name="labels/a.txt"), beside("labels/train/b.txt", "")),
        r"labels.a\.txt: its image seems to be .*images.train.a\.jpg: put the two",
    ),
    "VisDrone's lines": (of_yolo("10,20,20,20,1,4,0,0"), r"not 8 with commas"),
    "KITTI's lines": (of_yolo("Car 0.00 0 -1.6 10 20 30 40 1 1 1 1 1 1 0"), r"another tool's text file"),
    "a table as it was given": (
        lambda folder: (put(folder / "a.csv", "x"), {}),
        r"a\.csv: a \.csv file is not read: export as",
    ),
    "a file as it was fetched": (lambda folder: (put(folder / "a.zip", b"PK\x03\x04"), {}), r"packed archive: unpack"),
    "one file of many": (of_one_xml, r"one file of many: give the folder"),
    "CVAT's own XML": (
        several(of_voc("<annotations><version>1.1</version></annotations>")),
        r"a\.xml: .*CVAT's own.*export as YOLO",
    ),
    "parts that are not there": (
        with_options(of_yolo(HALVES), split="val"),
        r"'val' is no part of it; its parts: none",
    ),
    "names twice in one file": (
        several(of_yolo(HALVES, names=None), beside("data.yaml", "train: .\nnames: [cat]\nnames: [dog]\n")),
        r"data\.yaml, line 3: 'names' is there twice",
    ),
    "a number twice in one file": (
        several(of_yolo(HALVES, names=None), beside("data.yaml", "train: .\nnames:\n  0: cat\n  0: dog\n")),
        r"data\.yaml, line 4: '0' is there twice",
    ),
    "all of the computer": (
        several(of_yolo(HALVES, names=None), beside("obj.data", "train = /\nnames = obj.names\n")),
        r"obj\.data, line 1: '/' was not found",
    ),
    "folders of nothing": (lambda folder: (folder, {"images": folder / "gone"}), r"gone: there is no such folder"),
}

STORED = r"1 of 1 photographs were annotated as they are stored"

WARNED = {
    # The stored picture is turned to the right to be seen: what was right is now below, what was above is now right.
    "VOC drawn before the camera's rotation": (
        of_voc(voc(ob("cat", [60, 10, 79, 40])), orientation=6),
        [[40, 60, 70, 79]],
        STORED,
    ),
    "COCO drawn before the camera's rotation": (
        of_coco(coco([[60, 10, 19, 30]]), orientation=6),
        [[40, 60, 70, 79]],
        STORED,
    ),
    "turned to the left": (of_voc(voc(ob("cat", [60, 10, 79, 40])), orientation=8), [[10, 21, 40, 40]], STORED),
    "mirrored at a diagonal": (of_voc(voc(ob("cat", [60, 10, 79, 40])), orientation=5), [[10, 60, 40, 79]], STORED),
    "at the other diagonal": (of_voc(voc(ob("cat", [60, 10, 79, 40])), orientation=7), [[40, 21, 70, 40]], STORED),
    "a rotation and no word of it": (
        of_yolo("0 0.2 0.375 0.2 0.25", orientation=6),
        [[8, 25, 24, 50]],
        r"1 of 1 photographs carry a camera's rotation",
    ),
    "upside down, which no size tells": (of_voc(voc(CAT), orientation=3), [SQUARE], r"1 of 1 photographs carry"),
    "some of a crowd": (
        of_coco(
            coco().replace(
                '"annotations": [',
                '"annotations": ['
                + json.dumps({"image_id": 1, "category_id": 1, "bbox": [1, 1, 50, 50], "iscrowd": "1"})
                + ", ",
            )
        ),
        [SQUARE],
        r"1 of 2 boxes surround a crowd",
    ),
    "clipped on request": (
        with_options(of_lines("a.jpg 90,60,106,70,0"), outside="clip"),
        [[90, 60, 100, 70]],
        r"1 of 1 boxes reach outside their image and are clipped.*line 1",
    ),
    "left out on request": (
        with_options(of_lines("a.jpg 90,60,106,70,0 10,20,30,40,1"), outside="skip"),
        [SQUARE],
        r"1 of 2 boxes reach outside their image and are left out",
    ),
    "capitals": (of_lines("a.jpg 10,20,30,40,0", "A.JPG"), [SQUARE], r"1 of 1 photographs have a name that differs"),
    "an escaped name": (
        of_lines("my%20cat.jpg 10,20,30,40,0", "my cat.jpg"),
        [SQUARE],
        r"line 1: my%20cat\.jpg is .*my cat\.jpg",
    ),
    "capitals in YOLO": (of_yolo(HALVES, "A.jpg"), [SQUARE], r"a\.txt: A"),
    "pictures without label file": (
        several(of_yolo(HALVES), beside("b.jpg"), beside("c.jpg"), beside("c.txt", "")),
        [SQUARE],
        r"1 of 3 photographs have no label file",
    ),
    "other class names": (
        several(of_yolo(HALVES), beside("classes.txt", "wolf\ncat\n")),
        [SQUARE],
        r"classes\.txt: the numbers mean \['wolf', 'cat'\] there, and are read as \(?'cat', 'dog'",
    ),
    "two classes that look like one": (
        several(of_yolo(HALVES, names=None), beside("data.yaml", "train: .\nnames: [cat, dog, Cat]\n")),
        [SQUARE],
        r"data\.yaml: the classes 'cat' and 'Cat' look like one",
    ),
    "photographs for the test that have no labels yet": (
        several(
            of_yolo(HALVES, "images/train/a.jpg", label_name="labels/train/a.txt", names=None),
            beside("images/test/b.jpg"),
            beside("data.yaml", "train: images/train\ntest: images/test\nnames: [cat]\n"),
        ),
        [SQUARE],
        r"such as .*labels.test.b\.txt: this part is left out",
    ),
    "photographs in two parts": (
        several(
            of_yolo(HALVES, names=None),
            beside("data.yaml", "train: train.txt\nval: train.txt\nnames: [cat]\n"),
            beside("train.txt", "a.jpg\n"),
        ),
        [SQUARE],
        r"1 of 1 photographs of val are in train too",
    ),
    "drawn turned": (of_coco(coco(attributes={"rotation": 30.0})), [SQUARE], r"1 of 1 boxes were drawn turned"),
}


def read(make, folder):
    path, options = make(folder)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found, _ = read_annotations(path, **options)
    return found, [str(each.message) for each in caught]


@pytest.mark.parametrize(("make", "boxes"), READ.values(), ids=READ)
def test_what_can_only_mean_one_thing_is_read(tmp_path, make, boxes):
    found, said = read(make, tmp_path)
    np.testing.assert_allclose(found[0].boxes, np.reshape(boxes, (-1, 4)), atol=1e-4)
    assert said == []


@pytest.mark.parametrize(("make", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_would_need_a_guess_is_refused(tmp_path, make, sentence):
    with pytest.raises(AnnotationError, match=sentence) as error:
        read(make, tmp_path)
    assert "\n" not in str(error.value) and str(error.value).endswith(".") and len(str(error.value)) < 700


@pytest.mark.parametrize(("make", "boxes", "sentence"), WARNED.values(), ids=WARNED)
def test_what_is_doubtful_is_said_once(tmp_path, make, boxes, sentence):
    found, said = read(make, tmp_path)
    np.testing.assert_allclose(found[0].boxes, np.reshape(boxes, (-1, 4)), atol=1e-4)
    assert len(said) == 1 and re.search(sentence, said[0])
