"""How Sphinx builds the site; tools/build_site.py calls it."""

import sys
from pathlib import Path

from tools.set_repository import ROOT, repository

sys.path.append(str(Path(__file__).parent))  # for course_pages

project = "The YOLOv3 identity loss in Keras"
extensions = ["myst_nb", "autoapi.extension", "sphinx.ext.napoleon", "sphinx_copybutton", "course_pages"]
smartquotes_action = "D"  # dashes alone: a quoted error text stays as it was printed
html_domain_indices = False  # the modules are in the contents

# The notebooks are shown as they were committed.
nb_execution_mode = "off"
myst_enable_extensions = ["attrs_block", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_allow_space = myst_dmath_allow_digits = False  # $5 is a price

# The package is read, not imported: TensorFlow need not be there.
autoapi_dirs = [str(ROOT / "yolo_helpers")]
autoapi_root = "reference"
autoapi_options = ["members", "show-module-summary", "imported-members"]
autoapi_add_toctree_entry = False
napoleon_use_ivar = True
default_role = "code"
python_use_unqualified_type_names = True
# Constants are imported too, and have no page; a package shows again what its modules give it, and a link leads to one.
suppress_warnings = ["autoapi.python_import_resolution", "ref.python"]

html_math_renderer = "mathml"
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["course.css"]
html_js_files = ["projector.js", "drawers.js"]
templates_path = ["templates"]
html_favicon = "static/favicon.svg"
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "repository_url": repository(),
    "repository_branch": "main",
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "use_repository_button": True,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
    "search_bar_text": "An error text, a name, a question",
    "show_toc_level": 2,
    "shorten_urls": False,
    "footer_content_items": [],
    "article_header_start": ["toggle-primary-sidebar.html", "languages.html"],
}

locale_dirs = [str(ROOT / "site" / "locale")]
gettext_compact = False
