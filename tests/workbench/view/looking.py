"""How tests look at the view: what stands on the page, read as a person would."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page

from workbench.trace import Trace
from workbench.view.html import to_html

RED = 135  # the token " red" of the trace made by hand
DONE = ".tv[data-done=true]"
# how a host tells its theme, dark and light
HOSTS = {
    "Jupyter": ("document.body.setAttribute('data-jp-theme-light', 'false')",
                "document.body.setAttribute('data-jp-theme-light', 'true')"),
    "VS Code": ("document.body.className = 'vscode-dark'", "document.body.className = 'vscode-light'"),
    "VS Code, high contrast": (
        "document.body.className = 'vscode-high-contrast'",
        "document.body.className = 'vscode-high-contrast vscode-high-contrast-light'",
    ),
    "Colab": ("document.documentElement.setAttribute('theme', 'dark')",
              "document.documentElement.setAttribute('theme', 'light')"),
    "Gradio": ("window.gradio_config = {}; document.body.className = 'dark'", "document.body.className = ''"),
}  # fmt: skip


def open_page(page: Page, tmp_path: Path, trace: Trace) -> None:
    page.goto(to_html(trace, tmp_path / "trace.html").as_uri())
    page.wait_for_selector(DONE)


def word(page: Page, text: str, nth: int = 0) -> Locator:
    return page.locator('[role="option"]').filter(has_text=text).nth(nth)


def wait_for_token(page: Page, token: int) -> None:
    page.wait_for_selector(f'.tv[data-token="{token}"]')


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait for what is seen in a frame to come: it is asked again and again, from here.

    The page's own security policy forbids Playwright to wait inside it.
    """
    for _ in range(1000):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came to hold")


def experts_shown(page: Page) -> list[str]:
    return page.locator(".tv-table tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(c => c.innerText.replace(/\\s+/g, ' ')).join(' | '))"
    )


def experts_of(trace: Trace, token: int) -> list[str]:
    return [
        f"{layer} | {expert} Expert {expert} | {float(gate):.2f}"
        for layer, expert, gate in zip(
            trace.moe_layers,
            trace.routed_experts[token, :, 0],
            trace.routed_weights[token, :, 0],
            strict=True,
        )
    ]


def veil_at(page: Page, image: int, x: float, y: float) -> int:
    """How dark the overlay is there (alpha, 0..255); x and y as shares of the picture."""
    return page.evaluate(
        """([image, x, y]) => {
            const canvas = document.querySelectorAll(".tv-frame canvas")[image];
            const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height)];
            return canvas.getContext("2d").getImageData(...at, 1, 1).data[3];
        }""",
        [image, x, y],
    )


def pixel_of_cell(page: Page, trace: Trace, token: int, m: int) -> list[int]:
    """The colour of a cell of the map, as nobody has enlarged it."""
    return page.evaluate(
        """([token, m, tokens, layers]) => {
            const frame = document.querySelector(".tv-map");
            const canvas = frame.querySelector("canvas");
            const width = Math.min(Math.max(Math.floor((frame.clientWidth - 56) / tokens), 2), 20);
            const height = Math.min(Math.max(Math.floor(288 / layers), 5), 20);
            const at = [56 + token * width + (width >> 1) - 1, m * height + (height >> 1)];
            return [...canvas.getContext("2d").getImageData(...at, 1, 1).data];
        }""",
        [token, m, len(trace), len(trace.moe_layers)],
    )
