"""Each page of the site that `make site` left in build/: on a phone, for those who see less, without another host."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from selenium_axe_python import Axe

from conftest import ROOT

SITE = ROOT / "build" / "site"
PAGES = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html")) if "_static" not in path.parts]
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
# The elements that stick out of the screen and of the box around them, where that cannot be scrolled sideways.
FIND_CUT_OFF = """
const right = one => one.getBoundingClientRect().right;
const wide = [...document.querySelectorAll("article *")].filter(one => right(one) > innerWidth + 1);
function scrolls(box) {
    const overflow = box ? getComputedStyle(box).overflowX : "hidden";
    return overflow == "visible" ? scrolls(box.parentElement) : overflow != "hidden";
}
return wide.filter(one => one.checkVisibility() && !scrolls(one.parentElement)).map(one => one.outerHTML.slice(0, 200));
"""
FIND_OTHER_HOSTS = """
const asked = performance.getEntriesByType("resource").map(one => one.name);
return asked.filter(name => !name.startsWith("data:") && new URL(name).host != location.host);
"""
# Colours that fade from one scheme to the other would be measured halfway.
STOP_FADING = """
const style = document.createElement("style");
style.textContent = "* { transition: none !important }";
document.head.append(style);
"""


class Handler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def address():
    """Where the site is served: on this computer only."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def use_scheme(browser, scheme):
    """Let the browser ask for light or dark pages, as a user's system does."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def find_barriers(browser, **options):
    """What axe-core finds on the page that keeps people from using it: the rule, how often, and the first place."""
    axe = Axe(browser)
    axe.inject()
    # It would fetch the style sheets once more, one of them from a wrong place.
    found = axe.run(options={"resultTypes": ["violations"], "preload": 0, **options})["violations"]
    return [
        (one["id"], len(one["nodes"]), one["nodes"][0]["html"][:200])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_there_is_a_site():
    assert len(PAGES) > 60 and "index.html" in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_page(browser, address, page):
    browser.get_log("browser")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    use_scheme(browser, "light")
    browser.get(f"{address}/{page}")
    assert browser.find_element(By.CSS_SELECTOR, "main h1:not(.onlyprint *)").is_displayed()
    width, screen = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= screen and browser.execute_script(FIND_CUT_OFF) == []

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_script(STOP_FADING)
    assert find_barriers(browser) == []
    use_scheme(browser, "dark")
    WebDriverWait(browser, 10).until(
        lambda _: browser.execute_script("return document.documentElement.dataset.theme == 'dark'")
    )
    assert find_barriers(browser, runOnly=["color-contrast"]) == []

    assert browser.execute_script(FIND_OTHER_HOSTS) == []
    assert [said["message"] for said in browser.get_log("browser") if said["level"] in ("SEVERE", "WARNING")] == []


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("No gradients provided", "further/training_goes_wrong.html#no-gradients-provided-for-any-variable"),
        ("Lambda", "03_yolo_loss_layer.html#the-lambda-line-by-line"),
        ("bad marshal data", "further/porting_save_load_trust.html"),
        (
            "ValueError: No gradients provided for any variable. The variables are ['dense/kernel:0', 'dense/bias:0']",
            "further/training_goes_wrong.html#no-gradients-provided-for-any-variable",
        ),
        ("what does lambda y_true, y_pred: y_pred do", "00_start_here.html#the-answer"),
        ("train custom dataset", "04_train_yours.html"),
        ("sample_weight", "further/losses_weights_and_masks.html"),
    ],
)
def test_search_leads_to_the_lesson(browser, address, words, page):
    browser.get(f"{address}/search.html")
    browser.find_element(By.CSS_SELECTOR, ".bd-search-container input[type=search]").send_keys(words + Keys.ENTER)
    first = (By.CSS_SELECTOR, "#search-results li a")
    link = WebDriverWait(browser, 20).until(lambda _: browser.find_elements(*first))[0].get_attribute("href")
    assert f"{address}/notebooks/{page}" in link
    browser.get(link)
    assert browser.find_element(By.CSS_SELECTOR, "article h1").is_displayed()


def test_code_is_copied_by_a_button(browser, address):
    allowed = {"origin": address, "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", allowed)
    browser.get(f"{address}/index.html")
    code = browser.find_element(By.CSS_SELECTOR, "main pre")
    button = browser.find_element(By.CSS_SELECTOR, "main button.copybtn")
    ActionChains(browser).move_to_element(code).move_to_element(button).click().perform()
    read = "navigator.clipboard.readText().then(arguments[0], error => arguments[0](String(error)))"
    WebDriverWait(browser, 10).until(lambda _: browser.execute_async_script(read).strip() == code.text.strip())


def test_projector_shows_each_section_below_its_heading(browser, address):
    def seen():
        headings = browser.find_elements(By.CSS_SELECTOR, "article :is(h1, h2, h3)")
        return [one.text.rstrip("#") for one in headings if one.is_displayed()]

    def counter():
        return browser.find_element(By.CSS_SELECTOR, ".projector-bar output").text

    browser.get(f"{address}/notebooks/00_start_here.html")
    whole = seen()
    browser.find_element(By.CSS_SELECTOR, ".btn-projector-button").click()
    shown, screens = [], 0
    while True:
        title = seen()
        assert len(title) == 1
        shown += [] if title == shown[-1:] else title
        number, total = counter().split(" / ")
        if number == total:  # which has no arrow: nothing is below
            break
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
        screens += 1
        assert screens < 20 * len(whole)
    assert shown == whole and int(total) > len(whole) > 5
    # The view stays on while one goes from lesson to lesson, until it is left.
    browser.get(f"{address}/notebooks/01_loss_signatures.html")
    WebDriverWait(browser, 10).until(lambda _: counter().startswith("1 / "))
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    browser.get(f"{address}/notebooks/00_start_here.html")
    assert seen() == whole


def test_a_drawer_closes_when_its_entry_is_chosen(browser, address):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        browser.get(f"{address}/notebooks/00_start_here.html")
        browser.find_element(By.CSS_SELECTOR, ".bd-header-article .secondary-toggle").click()
        drawer = browser.find_element(By.CSS_SELECTOR, "dialog[open]")
        drawer.find_element(By.PARTIAL_LINK_TEXT, "The answer").click()
        WebDriverWait(browser, 10).until(lambda _: not browser.find_elements(By.CSS_SELECTOR, "dialog[open]"))
        assert browser.current_url.endswith("#the-answer")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
