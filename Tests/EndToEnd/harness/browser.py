"""A person at the dashboard: Debian's headless Chromium through PyPI `selenium`."""

import base64
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

WITHIN_S = 20
PHONE = (390, 844)
DESKTOP = (1440, 900)

# Where screenshots go when somebody wants to look at them; nowhere otherwise.
SCREENSHOTS = os.environ.get("REENVIO_SCREENSHOTS")

CONTRAST = """
const luminance = ([r, g, b]) => {
  const [R, G, B] = [r, g, b].map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
  return .2126 * R + .7152 * G + .0722 * B;
};
const parse = (color) => { const n = color.match(/[\\d.]+/g).map(Number); return { rgb: n.slice(0, 3), a: n[3] ?? 1 }; };
const backdrop = (node) => {
  const layers = [];
  for (let at = node; at; at = at.parentElement) {
    const color = parse(getComputedStyle(at).backgroundColor);
    if (color.a > 0) layers.push(color);
    if (color.a === 1) break;
  }
  let rgb = [255, 255, 255];
  for (const layer of layers.reverse()) rgb = rgb.map((v, i) => v * (1 - layer.a) + layer.rgb[i] * layer.a);
  return rgb;
};
const faint = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let text = walker.nextNode(); text; text = walker.nextNode()) {
  const node = text.parentElement;
  if (!text.textContent.trim() || !node.getClientRects().length || ['OPTION', 'DATALIST'].includes(node.tagName)) continue;
  const ink = luminance(parse(getComputedStyle(node).color).rgb), paper = luminance(backdrop(node));
  const ratio = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  if (ratio < 4.5) faint.push(`${text.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return faint;
"""

UNNAMED = """
return [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, svg[role=img]')]
  .filter((node) => node.getClientRects().length)
  .filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim() || (node.labels && node.labels.length)))
  .map((node) => node.outerHTML.slice(0, 120));
"""

WIDER = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Person:
    """Somebody with a browser window of their own."""

    def __init__(self, server, size=DESKTOP, dark=False, javascript=True):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ["headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"]:
            options.add_argument(f"--{argument}")
        if not javascript:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        self.server = server
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600})
        self.dark(dark)

    def dark(self, is_dark):
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]})

    def open(self, path):
        self.driver.get(self.server.url + path)

    def sign_in(self, key, path="/dashboard"):
        self.open(path)
        self.field("API key").send_keys(key)
        self.press("Sign in")
        self.wait_for("nav")

    # What is on the page

    @property
    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def heading(self):
        return self.driver.find_element(By.TAG_NAME, "h1").text

    @property
    def path(self):
        return self.driver.current_url.removeprefix(self.server.url)

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def find_all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def field(self, label):
        """The field that a label with exactly this text belongs to."""
        found = self.driver.find_element(By.XPATH, f"//label[normalize-space()='{label}']")
        return self.driver.find_element(By.ID, found.get_attribute("for"))

    def fill(self, label, text):
        field = self.field(label)
        field.clear()
        field.send_keys(text)

    def button(self, text):
        return self.driver.find_element(By.XPATH, f"//main//button[normalize-space()='{text}']")

    def press(self, text):
        """Presses a button and waits for the page that follows."""
        page = self.find("html")
        self.button(text).click()
        WebDriverWait(self.driver, WITHIN_S).until(lambda _: self._is_gone(page))

    @staticmethod
    def _is_gone(element):
        try:
            element.is_enabled()
            return False
        except Exception:  # Whatever the driver calls it, the page is another one.
            return True

    def follow(self, text):
        self.driver.find_element(By.LINK_TEXT, text).click()

    def wait_for(self, css):
        return WebDriverWait(self.driver, WITHIN_S).until(lambda driver: driver.find_element(By.CSS_SELECTOR, css))

    def wait_until(self, look, what):
        """`look` may find things of a page that is just being left."""
        waiting = WebDriverWait(self.driver, WITHIN_S, ignored_exceptions=[StaleElementReferenceException])
        waiting.until(lambda _: look(), f"it did not happen that {what}")

    # What a critic would say

    def faults(self):
        """Faint texts, controls without a name, a page wider than its window, and what the browser complains about."""
        found = [f"faint: {one}" for one in self.driver.execute_script(CONTRAST)]
        found += [f"nameless: {one}" for one in self.driver.execute_script(UNNAMED)]
        if self.driver.execute_script(WIDER) > 0:
            found.append(f"wider than its window: {self.path}")
        said = self.driver.get_log("browser")
        found += [one["message"] for one in said if one["level"] in ("WARNING", "SEVERE")]
        return found

    def picture(self, name):
        if not SCREENSHOTS:
            return
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        width = self.driver.execute_script("return document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 2_400), "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        folder = Path(SCREENSHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def leave(self):
        self.driver.quit()


@contextmanager
def person(server, **options):
    somebody = Person(server, **options)
    try:
        yield somebody
    finally:
        somebody.leave()
