"""A real browser, and pages for it. Without one the tests here are skipped, unless REUSE_REQUIRE_BROWSER is set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.backend.test
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import load
from reuse_compiler.models import autopilot
from reuse_compiler.profiling import profile
from reuse_compiler.report_page import Contents, gather, record, require_report, write_page
from reuse_compiler.report_page.contents import drawn
from reuse_compiler.streams import open_stream

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FRAMES = "0:16"
STREAM = "reuse_compiler.models.autopilot:stream"
MODEL = Path(autopilot.__file__).parent / "autopilot.onnx"
LARGE = Path(onnx.backend.test.__file__).parent / "data" / "light" / "light_densenet121.onnx"
READY_SECONDS = 60

Open = Callable[..., "Chrome"]


def missing() -> str | None:
    """What a browser test lacks here."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "there is no selenium"
    return None


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Chromium without a window, and without anything that it would load by itself."""
    if (lack := missing()) is not None:
        if os.environ.get("REUSE_REQUIRE_BROWSER"):
            pytest.fail(f"REUSE_REQUIRE_BROWSER is set, and {lack}")
        pytest.skip(lack)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver") or ""))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """AutoPilot on the beginning of its drive."""
    folder = tmp_path_factory.mktemp("autopilot") / "out"
    model, hardware = load(MODEL), load_hardware("isca18")
    stream = open_stream(STREAM, model.inputs, frames=FRAMES)
    observed = profile(model, stream)
    plan = fit(model, observed, clusters=32)
    compile_model(model, plan, folder, stream=stream, hardware=hardware, profile=observed, verify_frames=0)
    compiled = CompiledDirectory.open(folder)
    recording = record(model, compiled.program, compiled.plan, stream, hardware)
    return gather(compiled, require_report(compiled), recording)


@pytest.fixture(scope="session")
def page(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of AutoPilot with its drive."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(contents, path)
    return path


@pytest.fixture(scope="session")
def large_page(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same figures on a graph of nine hundred nodes, without a stream."""
    graph = drawn(_with_constants(onnx.load(LARGE)), {})
    for number, box in enumerate(graph["boxes"]):
        box["layers"] = [number % len(contents.report["layers"])] if box["op"] == "Conv" else []
    path = tmp_path_factory.mktemp("page") / "large.html"
    write_page(replace(contents, graphs={**contents.graphs, "before": graph, "after": graph}, recording=None), path)
    return path


def _with_constants(proto: onnx.ModelProto) -> ir.Model:
    """The structure of a light model, with constants in place of the nodes that make its weights."""
    nodes = [node for node in proto.graph.node if node.op_type != "ConstantOfShape"]
    made = {name for node in proto.graph.node if node.op_type == "ConstantOfShape" for name in node.output}
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.zeros(1, np.float32), name) for name in made)
    return ir.from_proto(proto)


@pytest.fixture
def show(browser: Chrome) -> Iterator[Open]:
    """Open a page at a width and in a theme; when the test ends, nothing must stand in the console."""
    from selenium.webdriver.support.ui import WebDriverWait

    def open_page(path: Path, width: int = 1280, height: int = 900, *, dark: bool = False) -> Chrome:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": theme})
        browser.get(path.as_uri())
        ready = "return document.documentElement.dataset.ready"
        WebDriverWait(browser, READY_SECONDS).until(lambda driver: driver.execute_script(ready))
        return browser

    yield open_page
    console: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert console == []
