"""Lessons and their tasks in JupyterLab, used as a reader would: menu, slider, editor."""

import json
import re

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as until
from selenium.webdriver.support.wait import WebDriverWait

# What stands on the page: of each code cell its number, its outputs as text, and what of them is red.
READ_CELLS = """
const texts = (cell, kind) => [...cell.querySelectorAll(`.jp-OutputArea-output${kind}`)].map(one => one.textContent);
return [...document.querySelectorAll(".jp-Notebook .jp-CodeCell")].map(cell => ({
    number: cell.querySelector(".jp-InputPrompt").textContent,
    output: texts(cell, "").join(""),
    red: texts(cell, "[data-mime-type='application/vnd.jupyter.stderr']").join(""),
}));
"""
# Whether the notebook's kernel is connected and idle, whatever has the focus. What is seen on the page says less: the
# status bar nothing until the notebook has the focus, and the sign in its toolbar "idle" even before there is a kernel.
IS_IDLE = """
return [...jupyterapp.shell.widgets("main")].some(({sessionContext}) =>
    sessionContext?.session?.kernel && sessionContext.kernelDisplayStatus == "idle");
"""
# Width, height and number of colours of a picture.
MEASURE = """
const [picture] = arguments, canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
const context = canvas.getContext("2d");
context.drawImage(picture, 0, 0);
const pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
return [canvas.width, canvas.height, new Set(pixels).size];
"""
PASTE = """
const clipboardData = new DataTransfer();
clipboardData.setData("text/plain", arguments[1]);
arguments[0].dispatchEvent(new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
"""


class Notebook:
    """A notebook opened in JupyterLab; its code cells are counted from 0."""

    def __init__(self, browser, lab, name):
        self.browser = browser
        cells = json.loads((lab.root / "notebooks" / name).read_text(encoding="utf-8"))["cells"]
        self.sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        browser.get(f"{lab.url}/lab/tree/notebooks/{name}?reset&token={lab.token}")
        self.wait(60, lambda: len(self.read()) == len(self.sources), "the notebook did not open")
        self.wait(60, self.is_idle, "the kernel did not start")

    def wait(self, seconds, condition, otherwise):
        """Wait until a condition holds; if it does not, say so, and where the cells are."""
        try:
            WebDriverWait(self.browser, seconds, poll_frequency=0.2).until(lambda _: condition())
        except TimeoutException:
            numbers = " ".join(cell["number"] for cell in self.read())
            pytest.fail(f"{otherwise} within {seconds} s; the cells: {numbers}", pytrace=False)

    def read(self):
        return self.browser.execute_script(READ_CELLS)

    def is_idle(self):
        return self.browser.execute_script(IS_IDLE)

    def find(self, number, selector):
        """The one element that a selector finds in a code cell, scrolled into view."""
        cell = self.browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell")[number]
        found = cell.find_elements(By.CSS_SELECTOR, selector)
        assert len(found) == 1, f"{len(found)} of {selector} in the cell:\n{self.sources[number]}"
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found[0])
        return found[0]

    def number_of(self, words):
        """The number of the one code cell with these words."""
        (number,) = [number for number, source in enumerate(self.sources) if words in source]
        return number

    def run_all(self, seconds):
        """Run all cells by the menu, and wait for the last or for an error."""
        self.find(0, ".cm-content").click()  # the menu is about the notebook in focus
        menu = "//*[contains(@class, 'lm-MenuBar-itemLabel') and text()='Run']"
        self.browser.find_element(By.XPATH, menu).click()
        item = (By.CSS_SELECTOR, ".lm-Menu-item[data-command='runmenu:run-all']")
        WebDriverWait(self.browser, 10).until(until.element_to_be_clickable(item)).click()

        def has_ended():
            cells = self.read()
            return self.is_idle() and (
                any(cell["red"] for cell in cells) or all(re.fullmatch(r"\[\d+\]:", cell["number"]) for cell in cells)
            )

        self.wait(seconds, has_ended, "the notebook did not come to its end")
        cells = self.read()
        red = "\n".join(cell["red"] for cell in cells if cell["red"])
        assert not red, red
        assert [cell["number"] for cell in cells] == [f"[{n}]:" for n in range(1, len(cells) + 1)]

    def write(self, number, source):
        """Replace the text of a code cell."""
        editor = self.find(number, ".cm-content")
        editor.click()
        editor.send_keys(Keys.CONTROL, "a")
        self.browser.execute_script(PASTE, editor, source)
        self.wait(10, lambda: editor.text.split() == source.split(), "the cell did not take the text")

    def run_cells(self, first, last):
        """Run some cells one after the other with Shift+Enter."""
        before = self.read()
        self.find(first, ".cm-content").click()
        for _ in range(first, last + 1):
            ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()

        def have_run():
            new = self.read()[first : last + 1]
            old = before[first : last + 1]
            return self.is_idle() and all(
                re.fullmatch(r"\[\d+\]:", cell["number"]) and cell["number"] != earlier["number"]
                for cell, earlier in zip(new, old)
            )

        self.wait(60, have_run, "the cells did not run")


def test_lesson_00_runs_to_its_end_and_shows_detections(browser, lab):
    lesson = Notebook(browser, lab, "00_start_here.ipynb")
    lesson.run_all(240)
    picture = lesson.find(lesson.number_of("after.boxes"), "img")
    width, height, colours = browser.execute_script(MEASURE, picture)
    assert width > 600 and height > 150 and colours > 1000, "no photographs are to be seen"
    assert picture.is_displayed() and picture.size["width"] > 400


def test_the_slider_moves_the_picture(browser, lab):
    lesson = Notebook(browser, lab, "further/03a_yolo_loss_by_hand.ipynb")
    lesson.run_all(180)
    cell = lesson.number_of("ipywidgets.interact(")
    slider = lesson.find(cell, "[role=slider]")

    def picture():
        return browser.execute_script("return document.querySelector('.widget-interact img')?.src")

    first = picture()
    assert first and browser.execute_script(MEASURE, lesson.find(cell, "img"))[2] > 1000
    slider.send_keys(Keys.ARROW_RIGHT)
    lesson.wait(30, lambda: picture() not in (None, first), "the slider did not change the picture")
    slider.send_keys(Keys.ARROW_LEFT)
    lesson.wait(30, lambda: picture() == first, "the slider did not bring the first picture back")


def test_a_task_says_what_an_answer_is_worth(browser, lab):
    name, words = "04a_own_photographs.ipynb", "def fit_anchors"
    solution = json.loads((lab.root / "notebooks" / "solutions" / name).read_text(encoding="utf-8"))
    (answer,) = [source for cell in solution["cells"] if words in (source := "".join(cell["source"]))]
    lesson = Notebook(browser, lab, f"further/{name}")
    lesson.run_all(180)
    number = lesson.number_of(words)

    def verdict():
        cell = lesson.read()[number]
        assert not cell["red"]
        return cell["output"].strip()

    assert verdict().startswith("not done yet")
    lesson.write(number, lesson.sources[number].replace("return None", "return start"))
    lesson.run_cells(number, number)
    assert verdict().startswith("hint: for ")
    lesson.write(number, answer)
    lesson.run_cells(number, number)
    assert verdict() == "ok"
