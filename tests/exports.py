"""What annotation tools write, made anew: small data sets laid out on disk as each tool does it.

The layouts are from the tools' own code, documentation and bug reports, named with each. They know nothing of how the
package reads them. Each function gives a builder, which writes into a folder. A picture is known again by its size.
"""

import base64
import functools
import json

from PIL import Image

NAMES = ["cat", "dog"]
# The size (width, height) of each picture, and its objects: name, x_min, y_min, x_max, y_max in pixels.
PICTURES = {
    "a": ((100, 80), [("cat", 10, 20, 30, 40), ("dog", 0, 0, 100, 80)]),
    "b": ((80, 60), []),
    "c": ((120, 90), [("dog", 6, 9, 66, 45)]),
    "d": ((64, 72), [("cat", 8, 9, 40, 63)]),
}


def builder(write):
    """Turns write(root, ...) into a function of the rest, which returns a builder: a function of root."""

    @functools.wraps(write)
    def choose(*args, **options):
        build = functools.partial(write, **options)
        return named(lambda root: build(root, *args), "-".join(map(str, (write.__name__, *args, *options.values()))))

    return choose


def named(build, name):
    build.__name__ = name
    return build


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def picture(path, stem):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", PICTURES[stem][0], "grey").save(path)


def yolo(stem):
    """Darknet's lines: the class, then centre and size as parts of the picture; no newline at the end."""
    (width, height), objects = PICTURES[stem]
    scale, lines = (width, height, width, height), []
    for name, x0, y0, x1, y1 in objects:
        parts = [f"{v / s:.6f}" for v, s in zip(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), scale, strict=True)]
        lines.append(" ".join([str(NAMES.index(name)), *parts]))
    return "\n".join(lines)


def voc(stem, file_name, path="", inside="<difficult>0</difficult>", order="xmin ymin xmax ymax", depth="3"):
    """Pascal VOC's XML, with what differs from tool to tool: other elements, the order of the corners, the depth."""
    (width, height), objects = PICTURES[stem]
    text = f"<annotation>\n<folder></folder>\n<filename>{file_name}</filename>\n{path}"
    text += f"<size><width>{width}</width><height>{height}</height><depth>{depth}</depth></size>\n"
    for name, *corners in objects:
        box = dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
        box = "".join(f"<{key}>{box[key]}</{key}>" for key in order.split())
        text += f"<object><name>{name}</name>{inside}<bndbox>{box}</bndbox></object>\n"
    return text + "</annotation>\n"


def coco(names, ids=(1, 2), before=(), **more):
    """COCO's JSON; `names` maps stems to file names, `ids` are the categories', `before` stands ahead of them."""
    images, annotations = [], []
    for number, (stem, name) in enumerate(names.items()):
        (width, height), objects = PICTURES[stem]
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for kind, x0, y0, x1, y1 in objects:
            one = {"id": len(annotations), "image_id": number, "category_id": ids[NAMES.index(kind)], "iscrowd": 0}
            annotations.append({**one, "bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": [], **more})
    group = before[0]["name"] if before else ""
    categories = [{"id": i, "name": name, "supercategory": group} for i, name in zip(ids, NAMES, strict=True)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": [*before, *categories]}


def lay(root, parts, photo="", label="", saved="abcd", end="\n", listing="", line="", file="{stem}.jpg", xml=None):
    """What most tools write; in all paths {part} and {stem} are filled in, and {number}, which counts the pictures.

    Args:
        parts: the name of each part, with the stems of its pictures.
        photo: path of a picture.
        label: of its annotations, if its stem is in `saved`: .txt holds `yolo` and this `end`; .xml holds `voc`, which
            names the picture as `file`, with the options `xml`, in which ~ stands for that name.
        listing: of a text file for each part, which has this `line` for each picture.
    """
    for part, stems in parts.items():
        lines = ""
        for stem in stems:
            known = {"part": part, "stem": stem, "number": f"{'abcd'.index(stem):06}"}
            if photo:
                picture(root / photo.format(**known), stem)
            if label.endswith(".txt") and stem in saved:
                put(root / label.format(**known), yolo(stem) + end * bool(yolo(stem)))
            if label.endswith(".xml") and stem in saved:
                options = {key: value.replace("~", file.format(**known)) for key, value in (xml or {}).items()}
                put(root / label.format(**known), voc(stem, file.format(**known), **options))
            lines += line.format(**known) + "\n"
        if listing:
            put(root / listing.format(part=part), lines)


@builder
def cvat_yolo(root, parts, inside="", pictures=True, prefix="data/"):
    """CVAT's "YOLO 1.1" (cvat-ai/datumaro, plugins/yolo_format/converter.py): paths begin "data/", a folder that the
    zip has not; subsets keep their names, "default" is "train"; frames of a video end in .PNG; empty files are written.
    """
    name = "obj_{part}_data/" + inside + "frame_{number}"
    photo = f"{name}.PNG" if pictures else ""
    lay(root, parts, photo, f"{name}.txt", listing="{part}.txt", line=f"{prefix}{name}.PNG")
    keys = "".join(f"{part} = {prefix}{part}.txt\n" for part in parts)
    put(root / "obj.names", "cat\ndog\n")
    put(root / "obj.data", f"classes = 2\n{keys}names = {prefix}obj.names\nbackup = backup/\n")


@builder
def cvat_ultralytics(root, parts, prefix="data/"):
    """CVAT's "Ultralytics YOLO Detection 1.0" (the same file): the parts are lists whose lines, though not the names of
    the lists, may begin "data/"; a picture without boxes has no label file. `prefix` "" is as in CVAT's documentation,
    "./" as in OpenVINO's Datumaro.
    """
    photo, label = "images/{part}/{stem}.jpg", "labels/{part}/{stem}.txt"
    lay(root, parts, photo, label, saved="acd", listing="{part}.txt", line=prefix + photo)
    keys = "".join(f"{part}: {part}.txt\n" for part in parts)
    put(root / "data.yaml", f"{keys}names:\n  0: cat\n  1: dog\npath: .\n")


@builder
def cvat_coco(root, parts):
    """CVAT's "COCO 1.0" (datumaro, plugins/coco_format/converter.py): file names without the folder of the subset."""
    lay(root, parts, "images/{part}/{stem}.jpg")
    for part, stems in parts.items():
        attributes = {"occluded": False, "rotation": 0.0}
        put(root / f"annotations/instances_{part}.json", coco({s: f"{s}.jpg" for s in stems}, attributes=attributes))


@builder
def cvat_voc(root, parts, inside="", pictures=True):
    """CVAT's "PASCAL VOC 1.1" (datumaro, plugins/voc_format/converter.py): folders and blanks are part of a name, in
    the lists of Main too; lists of the same name elsewhere are of other tasks; the label map begins "background".
    """
    name, xml = inside + "{stem}", {"inside": "<truncated>0</truncated><occluded>0</occluded>", "depth": ""}
    photo, label = f"JPEGImages/{name}.png" if pictures else "", f"Annotations/{name}.xml"
    lay(root, parts, photo, label, listing="ImageSets/Main/{part}.txt", line=name, file=f"{name}.png", xml=xml)
    lay(root, dict.fromkeys(parts, "b"), listing="ImageSets/Segmentation/{part}.txt", line=name)
    (root / "SegmentationClass").mkdir()
    put(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\ndog:0,128,0::\n")


@builder
def roboflow(root, kind, parts=None):
    """Roboflow's exports (roboflow.com/formats, and exports kept in public repositories): for `kind` "yolo" data.yaml
    names folders one level too high, and test also where there is none; "coco" has a category 0 that groups the others
    and is never used; "voc" gives xmax second; "darknet" and "keras" have their names in every part.
    """
    parts = parts or {"train": "ab", "valid": "c", "test": "d"}
    photos, labels = ("{part}/images/", "{part}/labels/") if kind == "yolo" else ("{part}/", "{part}/")
    name, suffix = (
        "{stem}_jpg.rf.0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        {"yolo": ".txt", "darknet": ".txt", "voc": ".xml"}.get(kind, ""),
    )
    xml = {"path": "<path>~</path>", "inside": "<occluded>0</occluded>", "order": "xmin xmax ymin ymax"}
    lay(root, parts, f"{photos}{name}.jpg", f"{labels}{name}{suffix}", end="", file=f"{name}.jpg", xml=xml)
    put(root / "README.dataset.txt", "# animals > 2024-01-01 1:00pm\n\nProvided by a Roboflow user\nLicense: MIT\n")
    put(root / "README.roboflow.txt", "\nanimals - v1\n==============================\n\n* none, 2 a day\n")
    for part, stems in parts.items():
        names = {stem: name.format(stem=stem) + ".jpg" for stem in stems}
        if kind == "coco":
            group = {"id": 0, "name": "animals", "supercategory": "none"}
            put(root / part / "_annotations.coco.json", coco(names, before=[group]))
        if kind == "darknet":
            put(root / part / "_darknet.labels", "cat\ndog\n")
        if kind == "keras":
            boxes = {s: [f"{x},{y},{z},{w},{NAMES.index(n)}" for n, x, y, z, w in PICTURES[s][1]] for s in stems}
            put(root / part / "_annotations.txt", "\n".join(" ".join([names[stem], *boxes[stem]]) for stem in stems))
            put(root / part / "_classes.txt", "cat\ndog")
    if kind == "yolo":
        text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['cat', 'dog']\n\n"
        text += "roboflow:\n  workspace: me\n  project: animals\n  version: 1\n  license: MIT\n  url: https://a.b/c\n"
        put(root / "data.yaml", text)


COCO8 = """# Ultralytics \U0001f680 - https://ultralytics.com/license
path: ../datasets/coco8 # dataset root dir
train: images/train # train images (relative to 'path') 4 images
val: images/val # val images (relative to 'path') 4 images
test: # test images (optional)

# Classes
names:
  0: cat
  1: dog

# Download script/URL (optional)
download: |
  from pathlib import Path
  dir = Path(yaml["path"])  # names: [], train: none
  urls = [f"{dir}/coco8.zip",  # 1 MB
          'b']
"""


@builder
def ultralytics(root, old="", new="", where="data.yaml", data="", line="./images/train/{stem}.jpg"):
    """Ultralytics' own layout (ultralytics/cfg/datasets; data/base.py for lists): their `path` is seen from a folder of
    theirs, so that it is seldom found; `download` is a block of Python. `new` stands for `old` in the file.
    """
    parts = {"train": "ab", "val": "c", "test": "d"}
    lay(root / data, parts, "images/{part}/{stem}.jpg", "labels/{part}/{stem}.txt", saved="acd")
    lay(root / data, {"train": "ab"}, listing="{part}.txt", line=line)
    assert old in COCO8
    put(root / where, COCO8.replace(old, new) if old else COCO8)


@builder
def label_studio(root, kind, pictures=True, file_name="images/{}"):
    """Label Studio's exports (label_studio_sdk/converter, run; label-studio issue 7294, label-studio-converter 139 and
    188): names get eight digits in front; without pictures images/ is there and empty; COCO's file names are those of
    the server's system; VOC has no file for a picture without boxes; "json" and "json_min" are its own, in percent.
    """
    name, label = "9a1b2c3d-{stem}", {"yolo": "labels/{}.txt", "voc": "Annotations/{}.xml"}.get(kind, "")
    photo = f"images/{name}.png" if pictures and "json" not in kind else ""
    lay(root, {"": "abc"}, photo, label.format(name), saved="ac" if kind == "voc" else "abc", file=f"{name}.png")
    (root / "images").mkdir(parents=True, exist_ok=True)
    if kind == "yolo":
        put(root / "classes.txt", "cat\ndog\n")
        put(root / "notes.json", {"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}], "info": {}})
    if kind == "coco":
        names = {stem: file_name.format(f"{name.format(stem=stem)}.png") for stem in "abc"}
        put(root / "result.json", coco(names, ids=(0, 1)))
    image, size = "/data/upload/1/9a1b2c3d-a.png", {"original_width": 100, "original_height": 80}
    value = {"x": 10, "y": 25, "width": 20, "height": 25, "rotation": 0, "rectanglelabels": ["cat"]}
    result = {"id": "q", "type": "rectanglelabels", "from_name": "label", "to_name": "image", "value": value, **size}
    if kind == "json":
        put(root / "tasks.json", [{"id": 1, "annotations": [{"id": 1, "result": [result]}], "data": {"image": image}}])
    if kind == "json_min":
        put(root / "tasks.json", [{"image": image, "id": 1, "label": [{**value, **size}], "annotation_id": 1}])


@builder
def labelimg(root, kind):
    """LabelImg (HumanSignal/labelImg, libs/): no file for a picture that was never saved; XML has the path on the
    computer where it was made; "createml" has centres in pixels.
    """
    label = {"voc": "{stem}.xml", "yolo": "{stem}.txt"}.get(kind, "")
    lay(root, {"": "abc"}, "{stem}.jpg", label, saved="ac", xml={"path": r"<path>C:\Users\me\photos\~</path>"})
    if kind == "yolo":
        put(root / "classes.txt", "cat\ndog\n")
    if kind == "createml":
        objects = [{"label": "cat", "coordinates": {"x": 20, "y": 30, "width": 20, "height": 20}}]
        put(root / "photos.json", [{"image": "a.jpg", "verified": False, "annotations": objects}])


@builder
def makesense(root, kind, names="labels.txt"):
    """makesense.ai (SkalskiP/make-sense, logic/export): no file for a picture without boxes; the YOLO zip holds no
    names, people add the file that they had given the tool; COCO is one file, of polygons.
    """
    label = {"voc": "{stem}.xml", "yolo": "{stem}.txt"}.get(kind, "")
    lay(root, {"": "abc"}, "{stem}.jpg", label, "ac", "", xml={"path": "<path>/my-project-name/~</path>"})
    if kind == "yolo" and names:
        put(root / names, "cat\ndog\n")
    if kind == "coco":
        put(root / "labels_my-project-name_2024-05-06-07-08-09.json", coco({s: f"{s}.jpg" for s in "ac"}))


@builder
def labelme(root, shape=None, data=False, image_path="{}.jpg", pictures=""):
    """labelme (wkentaro/labelme, _label_file.py): a JSON for each picture; a rectangle is two opposite corners, in the
    order in which they were clicked; here the last box is a polygon. `shape` is a kind that has no box.
    """
    for stem in "abc":
        (width, height), objects = PICTURES[stem]
        file = root / pictures / f"{stem}.jpg"
        picture(file, stem)
        shapes = [("rectangle", name, [[x1, y0], [x0, y1]]) for name, x0, y0, x1, y1 in objects]
        for name, x0, y0, x1, y1 in objects[-1:]:
            shapes[-1] = ("polygon", name, [[x0, y1], [(x0 + x1) / 2, y0], [x1, y1 - 2.5]])
        shapes += [(shape, "cat", [[20, 20], [30, 20]][: 1 if shape == "point" else 2])] if shape else []
        shapes = [{"label": n, "points": p, "group_id": None, "shape_type": kind, "flags": {}} for kind, n, p in shapes]
        said = {"imagePath": image_path.format(stem), "imageHeight": height, "imageWidth": width}
        said["imageData"] = base64.b64encode(file.read_bytes()).decode() if data else None
        put(root / f"{stem}.json", {"version": "5.4.1", "flags": {}, "shapes": shapes, **said})


@builder
def labelme_examples(root, kind):
    """labelme's labelme2coco.py and labelme2voc.py (its examples/): drawings of the same names as the pictures, and a
    class "_background_" that is never used.
    """
    xml = {"path": "<segmented/>", "inside": "<pose/><truncated/><difficult/>"}
    lay(root, {"": "abc"}, "JPEGImages/{stem}.jpg", "Annotations/{stem}.xml" if kind == "voc" else "", xml=xml)
    lay(root, {"": "abc"}, "AnnotationsVisualization/{stem}.jpg" if kind == "voc" else "Visualization/{stem}.jpg")
    if kind == "voc":
        put(root / "class_names.txt", "_background_\ncat\ndog")
    else:
        nothing = {"id": 0, "name": "_background_", "supercategory": None}
        put(root / "annotations.json", coco({s: f"JPEGImages/{s}.jpg" for s in "abc"}, before=[nothing]))


@builder
def coco2017(root):
    """COCO's own (cocodataset.org): beside the instances lie captions, and the keypoints of persons."""
    parts = {"train2017": "ab", "val2017": "c"}
    lay(root, parts, "{part}/000000{number}.jpg")
    for part, stems in parts.items():
        content = coco({stem: f"000000{'abcd'.index(stem):06}.jpg" for stem in stems}, ids=(17, 18))
        put(root / f"annotations/instances_{part}.json", content)
        caption = {"id": 1, "image_id": 0, "caption": "a cat"}
        put(root / f"annotations/captions_{part}.json", {"images": content["images"], "annotations": [caption]})
        person = {"id": 1, "name": "person", "keypoints": ["nose"], "skeleton": []}
        content = {"images": content["images"], "annotations": [], "categories": [person]}
        put(root / f"annotations/person_keypoints_{part}.json", content)


@builder
def fiftyone(root, kind, parts=None):
    """FiftyOne (voxel51/fiftyone, utils/coco.py, voc.py, yolo.py): files without a newline at the end, the path of the
    machine that exported, and for YOLOv5 "./" before and "/" after each folder.
    """
    label = {"voc": "labels/{stem}.xml", "yolov4": "data/{stem}.txt", "yolov5": "labels/{part}/{stem}.txt"}.get(
        kind, ""
    )
    xml = {"path": "<path>/home/me/export/data/~</path><segmented/>", "inside": ""}
    photo = "images/{part}/{stem}.jpg" if kind == "yolov5" else "data/{stem}.jpg"
    lay(root, parts or {"": "abc"}, photo, label, end="", xml=xml)
    if kind == "coco":
        put(root / "labels.json", coco({stem: f"{stem}.jpg" for stem in "abc"}))
    if kind == "yolov4":
        put(root / "obj.names", "cat\ndog")
        put(root / "images.txt", "data/a.jpg\ndata/b.jpg\ndata/c.jpg")
    if kind == "yolov5":
        keys = "".join(f"{part}: ./images/{part}/\n" for part in parts)
        put(root / "dataset.yaml", f"names:\n  0: cat\n  1: dog\npath: /home/me/export\n{keys}")
