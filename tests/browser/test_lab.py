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
        """Wait until a condition holds and return what it gave; else say so, and where the cells are."""
        try:
            return WebDriverWait(self.browser, seconds, poll_frequency=0.2).until(lambda _: condition())
        except TimeoutException:
            numbers = " ".join(cell["number"] for cell in self.read())
            pytest.fail(f"{otherwise} within {seconds} s; the cells: {numbers}", pytrace=False)

    def read(self):
        return self.browser.execute_script(READ_CELLS)

    def is_idle(self):
        return self.browser.execute_script(IS_IDLE)

    def find_all(self, number, selector):
        """The elements that a selector finds in a code cell, the first of them scrolled into view."""
        cell = self.browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-CodeCell")[number]
        found = cell.find_elements(By.CSS_SELECTOR, selector)
        assert found, f"no {selector} in the cell:\n{self.sources[number]}"
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found[0])
        return found

    def find(self, number, selector):
        """The one element that a selector finds in a code cell, scrolled into view."""
        found = self.find_all(number, selector)
        assert len(found) == 1, f"{len(found)} of {selector} in the cell:\n{self.sources[number]}"
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

    def run(self, number):
        """Run a code cell with Shift+Enter, and wait for its end."""
        before = self.read()[number]["number"]
        self.find(number, ".cm-content").click()
        ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()

        def has_run():
            now = self.read()[number]["number"]
            return self.is_idle() and re.fullmatch(r"\[\d+\]:", now) and now != before

        self.wait(60, has_run, "the cell did not run")
        red = self.read()[number]["red"]
        assert not red, red

    def run_to(self, last):
        """Run the code cells from the first to this one."""
        for number in range(last + 1):
            self.run(number)

    def picture(self):
        """What a slider has drawn, or None while it draws."""
        return self.browser.execute_script("return document.querySelector('.widget-interact img')?.src")

    def wait_for_picture(self, condition, otherwise):
        """Wait until a slider has drawn a picture that a condition takes, and return it."""
        return self.wait(30, lambda: (drawn := self.picture()) and condition(drawn) and drawn, otherwise)


def test_lesson_00_runs_to_its_end_and_shows_detections(browser, lab):
    lesson = Notebook(browser, lab, "00_start_here.ipynb")
    lesson.run_all(240)
    picture = lesson.find(lesson.number_of("in zip(axes, shown.items())"), "img")
    width, height, colours = browser.execute_script(MEASURE, picture)
    assert width > 600 and height > 150 and colours > 1000, "no photographs are to be seen"
    assert picture.is_displayed() and picture.size["width"] > 400


def test_a_batch_walks_through_the_graph(browser, lab):
    lesson = Notebook(browser, lab, "00_start_here.ipynb")
    cell = lesson.number_of("ipywidgets.interact(")
    lesson.run_to(cell)
    second = lesson.wait_for_picture(bool, "no graph was drawn")
    slider = lesson.find(cell, "[role=slider]")
    assert slider.get_attribute("aria-valuenow") == "2.0"
    slider.send_keys(Keys.ARROW_RIGHT)
    third = lesson.wait_for_picture(lambda drawn: drawn != second, "the slider did not move the batch on")
    (inference,) = [one for one in lesson.find_all(cell, ".widget-toggle-button") if one.text == "inference"]
    inference.click()
    lesson.wait_for_picture(lambda drawn: drawn not in (second, third), "the switch did not change the graph")


def test_the_slider_moves_the_picture(browser, lab):
    lesson = Notebook(browser, lab, "03_yolo_loss_layer.ipynb")
    cell = lesson.number_of("ipywidgets.interact(")
    lesson.run_to(cell)
    first = lesson.wait_for_picture(bool, "no picture was drawn")
    assert browser.execute_script(MEASURE, lesson.find(cell, "img"))[2] > 1000
    slider = lesson.find_all(cell, "[role=slider]")[0]
    slider.send_keys(Keys.ARROW_RIGHT)
    lesson.wait_for_picture(lambda drawn: drawn != first, "the slider did not change the picture")
    slider.send_keys(Keys.ARROW_LEFT)
    lesson.wait_for_picture(lambda drawn: drawn == first, "the slider did not bring the first picture back")


def test_a_task_says_what_an_answer_is_worth(browser, lab):
    name, words = "01_loss_signatures.ipynb", "def mean_absolute_error"
    solution = json.loads((lab.root / "notebooks" / "solutions" / name).read_text(encoding="utf-8"))
    (answer,) = [source for cell in solution["cells"] if words in (source := "".join(cell["source"]))]
    lesson = Notebook(browser, lab, name)
    number = lesson.number_of(words)
    lesson.run_to(number)

    def verdict():
        return lesson.read()[number]["output"].strip()

    assert verdict().startswith("not done yet")
    over_all = "return ops.mean(ops.abs(y_pred - y_true))"
    lesson.write(number, lesson.sources[number].replace("return None", over_all))
    lesson.run(number)
    assert verdict().startswith("hint: for ")
    lesson.write(number, answer)
    lesson.run(number)
    assert verdict() == "ok"
