"""How quickly is the map of the page ready and painted, in a browser without a GPU?

    python benchmarks/page_map.py [--images 100000]

Fills a store with synthetic vectors and a map of clusters, serves it in a process of its own, and drives a headless
Chromium on the PATH: from the first request until all points are painted; a drag by mouse in 90 steps; a lasso around
the middle of the map. Painting and lasso are what the page measures itself. On a machine with other work the gaps
between frames say little; the browser's processor time for a frame, of all its processes, does not depend on it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import heading, line
from synthetic import fill

from shotdex.store.projections import ProjectionKey, save_projection
from shotdex.store.types import Space

if TYPE_CHECKING:
    from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.browser import chromium

PORT = 18_600
STEPS = 90

FRAMES = """() => {
    window.gaps = [];
    let last = performance.now();
    const frame = (now) => { window.gaps.push(now - last); last = now; window.running = requestAnimationFrame(frame); };
    window.running = requestAnimationFrame(frame);
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        store = fill(root, options.images, dim=32, vision_dim=32)
        rng = np.random.default_rng(0)
        points = rng.normal(0, 40, (200, 2))[rng.integers(200, size=options.images)] + rng.normal(
            0, 2, (options.images, 2)
        )
        with store.writing() as con:
            key = ProjectionKey(1, Space.JOINT, "umap", {}, None, "0" * 64)
            save_projection(con, key, np.arange(1, options.images + 1), points)
        heading(f"The map of {options.images:,} images, 1280 x 900, no GPU")
        command = [sys.executable, "-m", "shotdex", "serve", "--store", str(root), "--port", str(PORT), "--no-browser"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            with chromium() as browser:
                page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
                system = browser.new_browser_cdp_session()

                script = page.context.new_cdp_session(page)
                script.send("Performance.enable", {"timeDomain": "threadTicks"})

                def processor() -> tuple[float, float]:
                    processes = system.send("SystemInfo.getProcessInfo")["processInfo"]
                    metrics = {one["name"]: one["value"] for one in script.send("Performance.getMetrics")["metrics"]}
                    return sum(one["cpuTime"] for one in processes), metrics["ScriptDuration"]

                measure(page, address, options.images, processor)
        finally:
            server.terminate()
            server.wait(10)


def measure(page: Page, address: str, images: int, processor: Callable[[], tuple[float, float]]) -> None:
    began = time.perf_counter()
    page.goto(f"{address}?view=map&color=condition")
    page.locator(f"canvas[data-view='{images}']").wait_for(timeout=60_000)
    page.locator(".legend label").first.wait_for()
    line("ready", f"{time.perf_counter() - began:.2f} s", "at most 1.5 s")
    canvas = page.locator("canvas")
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    painted = int(canvas.get_attribute("data-painted") or 0)
    page.evaluate(FRAMES)
    page.mouse.move(x, y)
    page.mouse.down()
    before, times = processor(), []
    for step in range(STEPS):
        page.mouse.move(x + 100 * np.sin(step / 9), y + 100 * np.cos(step / 9) - 100)
        times.append(float(canvas.get_attribute("data-milliseconds") or 0))
    used = np.subtract(processor(), before)
    page.mouse.up()
    gaps = np.array(page.evaluate("() => (cancelAnimationFrame(window.running), window.gaps)"))
    frames = int(canvas.get_attribute("data-painted") or 0) - painted
    line("frames painted in a drag of 90 steps", frames)
    line("painting, median and 95th percentile", _two(times), "at most 8 ms")
    line("gap between frames, median and 95th percentile", _two(gaps), "at most 17 and 25 ms")
    own, script = 1e3 * used / max(1, frames)
    line("processor time for a frame: the browser, the page's script", f"{own:.0f} ms, {script:.1f} ms", "at most 8 ms")
    page.get_by_role("button", name="Fit").click()
    page.get_by_role("button", name="Lasso").click()
    page.mouse.move(x - 150, y - 150)
    page.mouse.down()
    for right, down in ((150, -150), (150, 150), (-150, 150), (-150, -150)):
        page.mouse.move(x + right, y + down, steps=8)
    page.mouse.up()
    page.locator("canvas[data-lasso]").wait_for()
    line("lasso", f"{canvas.get_attribute('data-lasso')} ms", "at most 30 ms")


def _two(values: object) -> str:
    middle, high = np.percentile(np.asarray(values, float), [50, 95])
    return f"{middle:.1f} ms, {high:.1f} ms"


if __name__ == "__main__":
    main()
