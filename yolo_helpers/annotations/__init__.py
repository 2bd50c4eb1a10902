"""Pictures and their boxes, read from four formats, with file and line where something is wrong.

    text   keras-yolo3's lines: `path x_min,y_min,x_max,y_max,class ...`
    voc    Pascal VOC: a folder of XML files, one for each image
    coco   COCO: one JSON file
    yolo   darknet and Ultralytics: a text file for each image, `class x_centre y_centre width height` as parts of it

Each format has one file with one reader, which only takes the data apart; `check` then finds fault with all alike.
Coordinates are kept as written.
"""

from yolo_helpers.annotations.read import FORMATS, read_annotations
from yolo_helpers.annotations.record import Annotation, AnnotationError, get_classes
from yolo_helpers.annotations.split import split_annotations
from yolo_helpers.annotations.text import write_lines

__all__ = [
    "FORMATS",
    "Annotation",
    "AnnotationError",
    "get_classes",
    "read_annotations",
    "split_annotations",
    "write_lines",
]
