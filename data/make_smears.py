"""Makes the generated part of data/: the small smear data set in all four annotation formats, anchors, class lists.

python -m data.make_smears          writes into data/
python -m data.make_smears FOLDER   writes elsewhere, to compare
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from yolo_helpers import smear
from yolo_helpers.anchors import DATA

COUNT, IMAGE_SHAPE, SEED = 8, (192, 256), 2024

ANCHORS = {
    "yolo_anchors.txt": "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326",
    "tiny_yolo_anchors.txt": "10,14, 23,27, 37,58, 81,82, 135,169, 344,319",
}
# Names in the order of their numbers, as in darknet's lists.
CLASSES = {
    "smear_classes.txt": ",".join(smear.CLASS_NAMES),
    "voc_classes.txt": (
        "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,pottedplant,"
        "sheep,sofa,train,tvmonitor"
    ),
    "coco_classes.txt": (
        "person,bicycle,car,motorbike,aeroplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
        "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
        "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
        "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
        "hot dog,pizza,donut,cake,chair,sofa,pottedplant,bed,diningtable,toilet,tvmonitor,laptop,mouse,remote,"
        "keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,"
        "toothbrush"
    ),
}

# One image for the writers below: its name, (height, width), boxes of whole pixels, class numbers.
Entry = tuple[str, tuple[int, int], Sequence[Sequence[int]], Sequence[int]]


def text_lines(entries: Sequence[Entry], prefix: str = "") -> str:
    """keras-yolo3's form: one line per image, boxes of five numbers with commas between them."""
    lines = []
    for name, _, boxes, classes in entries:
        fields = [",".join(map(str, [*box, number])) for box, number in zip(boxes, classes, strict=True)]
        lines.append(" ".join([prefix + name, *fields]))
    return "".join(line + "\n" for line in lines)


def voc_xml(entry: Entry, class_names: Sequence[str]) -> str:
    """Pascal VOC's form: one XML file per image. The corners are written as they are, counted from 0."""
    name, (height, width), boxes, classes = entry
    parts = [f"<annotation>\n  <filename>{escape(name)}</filename>\n"]
    parts.append(f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n")
    for box, number in zip(boxes, classes, strict=True):
        corners = "".join(
            f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        parts.append(f"  <object>\n    <name>{escape(class_names[number])}</name>\n")
        parts.append(f"    <bndbox>{corners}</bndbox>\n  </object>\n")
    return "".join([*parts, "</annotation>\n"])


def coco_json(entries: Sequence[Entry], class_names: Sequence[str]) -> str:
    """COCO's form: one JSON file, boxes as x_min, y_min, width, height. Category ids begin at 1, as in COCO."""
    images, annotations = [], []
    for image_id, (name, (height, width), boxes, classes) in enumerate(entries, 1):
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for (x_min, y_min, x_max, y_max), number in zip(boxes, classes, strict=True):
            w, h = x_max - x_min, y_max - y_min
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": number + 1,
                    "bbox": [x_min, y_min, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(class_names)]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}, indent=1) + "\n"


def yolo_label(entry: Entry) -> str:
    """darknet's form: one text file per image, centre and size as parts of the image."""
    _, (height, width), boxes, classes = entry
    lines = []
    for (x_min, y_min, x_max, y_max), number in zip(boxes, classes, strict=True):
        centre_x, centre_y = (x_min + x_max) / 2 / width, (y_min + y_max) / 2 / height
        # Ten digits: half a unit of the last one is far less than a thousandth of a pixel.
        size = f"{(x_max - x_min) / width:.10f} {(y_max - y_min) / height:.10f}"
        lines.append(f"{number} {centre_x:.10f} {centre_y:.10f} {size}\n")
    return "".join(lines)


def main(folder: Path) -> None:
    """Writes everything into the folder; what lies there already is replaced, file by file."""

    def write(name: str, content: str | bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        smear.write_file(path, content if isinstance(content, bytes) else content.encode())

    for name, line in ANCHORS.items():
        write(name, line + "\n")
    for name, names in CLASSES.items():
        write(name, names.replace(",", "\n") + "\n")

    entries = []
    for i in range(COUNT):
        image, boxes, classes = smear.draw_smear(np.random.default_rng([SEED, i]), IMAGE_SHAPE)
        entries.append((f"smear_{i:04d}.png", IMAGE_SHAPE, boxes.astype(int).tolist(), classes.tolist()))
        write(f"smears/images/{entries[-1][0]}", smear.png_bytes(image))
    for entry in entries:
        stem = Path(entry[0]).stem
        write(f"smears/voc/{stem}.xml", voc_xml(entry, smear.CLASS_NAMES))
        write(f"smears/labels/{stem}.txt", yolo_label(entry))
    write("smears/classes.txt", "".join(f"{name}\n" for name in smear.CLASS_NAMES))
    write("smears/coco.json", coco_json(entries, smear.CLASS_NAMES))
    write("smears/annotations.txt", text_lines(entries, prefix="images/"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    main(parser.parse_args().folder)
