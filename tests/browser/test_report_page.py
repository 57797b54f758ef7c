"""The report page in a browser: what a person sees, clicks and reaches by keys.

Where REUSE_SCREENSHOTS names a folder, what the page looks like is left there.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reuse_compiler.report_page import Contents, write_page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

    from tests.browser.conftest import Open

if not os.environ.get("REUSE_REQUIRE_BROWSER"):
    pytest.importorskip("selenium", reason="there is no selenium")

from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

_NARROW, _WIDE = 420, 1280
_MOST_TABS = 40


def find(driver: Chrome, selector: str) -> WebElement:
    return driver.find_element(By.CSS_SELECTOR, selector)


def texts(driver: Chrome, selector: str) -> list[str]:
    return [element.text for element in driver.find_elements(By.CSS_SELECTOR, selector)]


def box(driver: Chrome, view: str, name: str) -> WebElement:
    return find(driver, f'#{view} .box[aria-label^="{name},"]')


def after_frames(driver: Chrome) -> None:
    """Wait until what was asked for is on the screen."""
    driver.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))")


def fill(driver: Chrome, element: WebElement) -> str:
    return str(driver.execute_script("return getComputedStyle(arguments[0].querySelector('rect')).fill", element))


def shot(driver: Chrome, name: str) -> bytes:
    """The whole page as PNG."""
    after_frames(driver)
    size = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
    options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
    image = base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])
    if folder := os.environ.get("REUSE_SCREENSHOTS"):
        (Path(folder) / f"{name}.png").write_bytes(image)
    return image


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [_WIDE, _NARROW])
def test_nothing_is_wider_than_the_window(show: Open, page: Path, width: int, dark: bool) -> None:
    driver = show(page, width, dark=dark)
    box(driver, "after", "conv2").click()
    assert driver.execute_script("return document.documentElement.scrollWidth") == width
    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"[0-9]+", ground)[:3])) > 3 * 128
    assert light != dark
    assert len(shot(driver, f"page-{width}-{'dark' if dark else 'light'}")) > 10_000


def test_the_figures_are_those_of_the_report(show: Open, page: Path, contents: Contents) -> None:
    driver = show(page)
    totals = contents.report["totals"]
    assert f"{totals['speedup']:.2f}×" in texts(driver, ".tile .figure")
    assert f"{100 * totals['energy_saving']:.1f}\u00a0%".replace("\u00a0", " ") in texts(driver, ".tile .figure")
    assert len(texts(driver, "#layers tbody tr")) == len(contents.report["layers"])
    constants = texts(driver, "#constants td.source")
    assert len(constants) == len(contents.report["hardware"]["constants"])
    assert all(constants)


def test_a_click_shows_a_node_in_both_graphs(show: Open, page: Path) -> None:
    driver = show(page)
    box(driver, "before", "conv3").click()
    details = find(driver, "#details").text
    assert details.startswith("conv3\nConv → ReuseConv\n")
    for word in ("similarity", "without inputs of 0.0", "32 centroids", "Similarity by frame", "kernel_shape"):
        assert word in details
    assert find(driver, "#details .histogram .bars rect")
    assert find(driver, "#details .histogram .centroids")
    for view in ("before", "after"):
        assert "chosen" in str(box(driver, view, "conv3").get_attribute("class"))


def test_a_node_that_was_fused_says_so(show: Open, page: Path) -> None:
    driver = show(page)
    box(driver, "before", "conv3_relu").click()
    assert "folded or fused" in find(driver, "#details").text


def test_search_finds_by_name_and_by_operator(show: Open, page: Path) -> None:
    driver = show(page)
    query = find(driver, "#query")
    query.send_keys("fc2")
    assert find(driver, "#found").text == "2 matches, Enter goes to the next"
    assert "dim" in str(box(driver, "after", "conv1").get_attribute("class"))
    query.send_keys(Keys.ENTER)
    assert find(driver, "#details h3").text == "fc2"
    query.clear()
    query.send_keys("ReuseConv")
    assert find(driver, "#found").text.startswith("5 matches")
    query.send_keys("nothing is called so", Keys.ENTER)
    assert find(driver, "#found").text == "0 matches"


@pytest.mark.parametrize("measure", ["reuse", "cycles", "energy", "now"])
def test_colours_follow_the_measure(show: Open, page: Path, measure: str) -> None:
    driver = show(page)
    names = ("conv1", "conv2", "conv3", "fc1", "fc5")
    before = [fill(driver, box(driver, "after", name)) for name in names]
    find(driver, f'label[for="measure-{measure}"]').click()
    after = [fill(driver, box(driver, "after", name)) for name in names]
    assert before != after
    assert len(set(after)) > 2


def test_the_scrubber_shows_the_frame_of_that_moment(show: Open, page: Path, contents: Contents) -> None:
    driver = show(page)
    first = find(driver, "#frame").get_attribute("src")
    scrubber = find(driver, "#scrubber")
    scrubber.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert contents.recording is not None
    similar = contents.recording["total"][3]
    assert find(driver, "#moment").text.startswith(f"Frame 3 of 16: similarity {100 * similar:.1f}")
    shown = find(driver, "#frame").get_attribute("src")
    assert shown == contents.recording["pictures"]["uris"][3] != first
    assert driver.execute_script("return document.getElementById('frame').naturalWidth") == 200


def test_a_click_on_a_layer_over_time_chooses_both(show: Open, page: Path) -> None:
    driver = show(page)
    heat = find(driver, ".heat svg")
    driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", heat)
    ActionChains(driver).move_to_element_with_offset(heat, heat.size["width"] // 4, 0).click().perform()
    assert find(driver, "#details h3").text in ("conv5", "fc1")
    assert not find(driver, "#moment").text.startswith("Frame 0 ")


def test_a_model_without_reuse_has_a_page(show: Open, contents: Contents, tmp_path: Path) -> None:
    assert contents.recording is not None
    recording = {**contents.recording, "similarity": {}, "total": []}
    write_page(replace(contents, recording=recording, quantizers=[], distributions={}), tmp_path / "page.html")
    driver = show(tmp_path / "page.html")
    assert "similarity –" in find(driver, "#moment").text
    assert "No layer reuses." in find(driver, "#timeline").text


def test_play_moves_on(show: Open, page: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    driver = show(page)
    find(driver, "#play").click()
    WebDriverWait(driver, 30).until(lambda _: find(driver, "#moment").text.startswith("Frame 15 "))
    WebDriverWait(driver, 30).until(lambda _: find(driver, "#play").text == "Play")


def test_keys_alone_lead_to_a_node_and_its_details(show: Open, page: Path) -> None:
    driver = show(page)
    for _ in range(_MOST_TABS):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        if driver.switch_to.active_element.tag_name == "svg":
            break
    ActionChains(driver).send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN).perform()
    assert find(driver, "#details h3").text == "conv1_relu"
    ActionChains(driver).send_keys(Keys.ARROW_UP).perform()
    assert find(driver, "#details h3").text == "conv1"
    ActionChains(driver).send_keys(Keys.ENTER).perform()
    assert driver.switch_to.active_element.get_attribute("id") == "details"
    ActionChains(driver).send_keys(Keys.ESCAPE).perform()
    assert driver.switch_to.active_element.tag_name == "svg"


def test_every_control_can_be_reached_by_tab(show: Open, page: Path) -> None:
    driver = show(page)
    reached = set()
    for _ in range(_MOST_TABS):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        element = driver.switch_to.active_element
        reached.add(element.get_attribute("id") or element.get_attribute("aria-label") or element.text)
    assert {"theme", "query", "measure-similarity"} <= reached
    assert {"Zoom in, graph before", "Fit, graph after", "Table of layers"} <= reached
    driver.execute_script("document.getElementById('play').focus()")
    ActionChains(driver).send_keys(Keys.TAB).perform()
    assert driver.switch_to.active_element.get_attribute("id") == "scrubber"


def test_columns_sort(show: Open, page: Path, contents: Contents) -> None:
    driver = show(page)
    header = next(item for item in driver.find_elements(By.CSS_SELECTOR, "#layers th button") if item.text == "Speedup")
    header.click()
    speedups: list[Any] = [
        (layer["cycles"]["baseline"] / layer["cycles"]["reuse"], layer["name"])
        for layer in contents.report["layers"]
        if layer["cycles"]["reuse"]
    ]
    assert texts(driver, "#layers tbody th")[0] == max(speedups)[1]
    assert find(driver, '#layers th[aria-sort="descending"]').text.startswith("Speedup")


def test_the_roofline_changes_its_memory(show: Open, page: Path) -> None:
    driver = show(page)
    assert len(driver.find_elements(By.CSS_SELECTOR, "#roofline .layer-point")) == 10
    find(driver, 'label[for="memory-dram"]').click()
    assert "MACs per byte of DRAM alone" in texts(driver, "#roofline svg .title")


def test_the_theme_can_be_changed(show: Open, page: Path) -> None:
    driver = show(page)
    ground = "return getComputedStyle(document.body).backgroundColor"
    before = driver.execute_script(ground)
    find(driver, "#theme").click()
    assert driver.execute_script(ground) != before
    assert find(driver, "#theme").text == "Light"


def test_on_paper_all_is_open_and_light(show: Open, page: Path) -> None:
    driver = show(page, dark=True)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not find(driver, "#theme").is_displayed()
    table = "const table = document.querySelector('#constants .scroll'); return table.scrollHeight <= table.clientHeight + 1"
    assert driver.execute_script(table)
    shot(driver, "page-print")


def test_nine_hundred_nodes_can_be_moved_searched_and_coloured(show: Open, large_page: Path) -> None:
    driver = show(large_page)
    assert len(driver.find_elements(By.CSS_SELECTOR, "#before .box")) > 900
    assert not find(driver, "#timeline").is_displayed()
    stage = find(driver, "#before .stage")
    world = find(driver, "#before svg > g")
    driver.execute_script("arguments[0].scrollIntoView()", find(driver, "#graphs"))
    places = {world.get_attribute("transform")}
    for _ in range(3):
        ActionChains(driver).drag_and_drop_by_offset(stage, 40, 30).perform()
        after_frames(driver)
        places.add(world.get_attribute("transform"))
    assert len(places) == 4
    find(driver, 'button[aria-label="Zoom in, graph before"]').click()
    find(driver, "#query").send_keys("Concat", Keys.ENTER)
    after_frames(driver)
    assert find(driver, "#found").text.startswith("1 of ")
    assert "Concat" in find(driver, "#details").text
    find(driver, 'label[for="measure-cycles"]').click()
    shot(driver, "page-large")
