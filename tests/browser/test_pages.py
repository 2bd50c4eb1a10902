"""The pages of `make pages` on a phone's narrow screen: nothing is cut off or too pale to read."""

import subprocess

import pytest
from selenium.webdriver.common.by import By

from conftest import PYTHON, ROOT

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
# The committed outputs do: what a lesson computes is tested elsewhere.
WRITE_PAGES = """
import sys
from pathlib import Path
import nbformat
from tools.build_notebooks import find_notebooks, page_path, to_page, write_beside
for path in find_notebooks():
    write_beside(page_path(path, Path(sys.argv[1])), to_page(nbformat.read(path, as_version=4), path))
"""
# The elements that stick out of the screen and of the box around them, where that cannot be scrolled sideways.
FIND_CUT_OFF = """
const wide = [...document.querySelectorAll("main *")].filter(one => one.getBoundingClientRect().right > innerWidth + 1);
function scrolls(box) {
    const overflow = box ? getComputedStyle(box).overflowX : "hidden";
    return overflow == "visible" ? scrolls(box.parentElement) : overflow != "hidden";
}
return wide.filter(one => !scrolls(one.parentElement)).map(one => one.outerHTML.slice(0, 200));
"""
# The texts with less contrast than WCAG 2 asks for (AA): 4.5 to 1, and 3 to 1 for large letters.
FIND_PALE = """
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
function luminance(colour) {
    const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const over = (above, alpha, below) => above.map((value, n) => alpha * value + (1 - alpha) * below[n]);
function background(one) {
    if (!one) return [255, 255, 255];
    const [r, g, b, alpha = 1] = numbers(getComputedStyle(one).backgroundColor);
    return alpha == 1 ? [r, g, b] : over([r, g, b], alpha, background(one.parentElement));
}
const opacity = one => one ? getComputedStyle(one).opacity * opacity(one.parentElement) : 1;
const found = new Set(), walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
    const one = walker.currentNode.parentElement, style = getComputedStyle(one);
    if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE"].includes(one.tagName)) continue;
    const [r, g, b, alpha = 1] = numbers(style.color), below = background(one);
    const shown = over([r, g, b], alpha * opacity(one), below);
    const [dark, light] = [luminance(shown), luminance(below)].sort((x, y) => x - y);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (isLarge ? 3 : 4.5)) found.add(`${ratio.toFixed(2)} ${style.color} ${walker.currentNode.data.trim()}`);
}
return [...found];
"""


@pytest.fixture(scope="module")
def pages(folder):
    """A page of every notebook."""
    subprocess.run([PYTHON, "-c", WRITE_PAGES, folder / "pages"], cwd=ROOT, check=True, timeout=300)
    return sorted((folder / "pages").rglob("*.html"))


@pytest.fixture(scope="module")
def phone(browser):
    """The browser with the screen of a phone."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_pages_are_readable_on_a_phone(phone, pages):
    assert len(pages) > 30
    wrong = {}
    for page in pages:
        phone.get(page.as_uri())
        assert phone.find_element(By.TAG_NAME, "h1").is_displayed()
        widths = phone.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        found = phone.execute_script(FIND_CUT_OFF) + phone.execute_script(FIND_PALE)
        if widths[0] > widths[1] or found:
            wrong["/".join(page.parts[-2:])] = (widths, found)
    assert wrong == {}
