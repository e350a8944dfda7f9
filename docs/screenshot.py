r"""Take pictures of a report, at several widths, light and dark.

    python docs/screenshot.py report.html --to docs/pictures --width 1280 --width 390

The picture in the README is that of ``make demo``:

    python docs/screenshot.py build/demo.html --to docs/pictures --width 1280 --theme light \
        --height 1760

Needs the development dependency `playwright` and a Chromium on PATH (or GPUYARD_CHROMIUM). The
browser gets no network: a report that asks for anything shows that here by looking broken.
"""

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",  # the page is our own, and containers run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HEIGHT_PX = 900


def main() -> None:
    """Write one PNG per width and theme into a folder."""
    parser = argparse.ArgumentParser(description="Take pictures of a report.")
    parser.add_argument("report", type=Path, help="HTML file")
    parser.add_argument("--to", type=Path, default=Path(), help="folder for the pictures")
    parser.add_argument("--width", type=int, action="append", help="CSS pixels; repeatable")
    parser.add_argument("--theme", choices=("light", "dark"), action="append", help="repeatable")
    parser.add_argument("--height", type=int, help="only so many CSS pixels from the top")
    parser.add_argument("--scale", type=float, default=1.0, help="device pixels per CSS pixel")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(CHROMIUM_FLAGS)
        )
        for width in asked.width or (1280, 390):
            for theme in asked.theme or ("light", "dark"):
                picture = asked.to / f"{asked.report.stem}-{width}-{theme}.png"
                take(browser, asked, width=width, theme=theme, picture=picture)
                print(picture)
        browser.close()


def take(
    browser: Browser, asked: argparse.Namespace, *, width: int, theme: str, picture: Path
) -> None:
    """Open the report in a window of this width and theme, and write what is seen."""
    page = browser.new_page(
        viewport={"width": width, "height": asked.height or HEIGHT_PX},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=asked.scale,
        offline=True,
    )
    page.goto(asked.report.resolve().as_uri())
    page.screenshot(path=picture, full_page=asked.height is None)
    page.close()


def find_chromium() -> str:
    """Return the browser's path, or end with a sentence on how to name one."""
    for name in (os.environ.get("GPUYARD_CHROMIUM") or "", *CHROMIUM_NAMES):
        if name and (path := shutil.which(name)):
            return path
    names = ", ".join(CHROMIUM_NAMES)
    raise SystemExit(f"screenshot: none of {names} on PATH; set GPUYARD_CHROMIUM to a browser")


if __name__ == "__main__":
    main()
