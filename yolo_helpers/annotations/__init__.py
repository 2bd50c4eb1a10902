"""Pictures and their boxes, read from five formats, with file and line where something is wrong.

    text   keras-yolo3's lines: `path x_min,y_min,x_max,y_max,class ...`
    voc    Pascal VOC: a folder of XML files, one for each image
    coco   COCO: one JSON file
    yolo   darknet and Ultralytics: a text file for each image, `class x_centre y_centre width height` as parts of it
    labelme   a JSON file for each image

Each format has one file with one reader, which only takes the data apart; `check` then finds fault with all alike.
`layout` knows what the folders of annotation tools look like, `find` where their pictures lie. Coordinates are kept as
written.
"""

from yolo_helpers.annotations.layout import FORMATS
from yolo_helpers.annotations.read import read_annotations, read_splits, survey
from yolo_helpers.annotations.record import Annotation, AnnotationError, get_classes
from yolo_helpers.annotations.split import shared_photographs, split_annotations, three_parts
from yolo_helpers.annotations.text import count_boxes, write_lines

__all__ = [
    "FORMATS",
    "Annotation",
    "AnnotationError",
    "count_boxes",
    "get_classes",
    "read_annotations",
    "read_splits",
    "shared_photographs",
    "split_annotations",
    "survey",
    "three_parts",
    "write_lines",
]
