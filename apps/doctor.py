"""What this machine has for the workbench: versions, devices, and which kernels can be used, or why not."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import torch

from apps.versions import OURS, installed
from kernels.backend import BackendUnavailable, pick
from workbench.devices import GIB

# with USEFUL all that pyproject.toml asks for; written here, because a source that is run in place has no
# metadata to read it from
NEEDED = (
    "torch", "safetensors", "tokenizers", "numpy", "pillow", "tqdm", "ipywidgets", "anywidget", "gradio",
    "matplotlib", "jupyterlab", "shtab", "fastapi", "uvicorn", "pydantic", "httpx", "brotli",
    "prometheus-client", "llguidance",
)  # fmt: skip
USEFUL = {
    "triton": "without it a card computes with PyTorch's own kernels",
    "uvloop": "without it the server sends fewer tokens a second",
    "httptools": "without it the server sends fewer tokens a second",
    "transformers": "for the tests",
}


def examine(needed: Sequence[str] = NEEDED) -> dict:
    """Everything, as plain values; `problems` has a sentence for each thing that must be mended."""
    packages = {name: installed(name) for name in (OURS, *needed, *USEFUL)}
    devices = [_cpu(), *(_card(number) for number in range(torch.cuda.device_count()))]
    problems = [f"{name} is not installed; pip install {name}" for name in needed if packages[name] is None]
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": packages,
        "cuda": torch.version.cuda,
        "devices": devices,
        "problems": problems,
    }


def _cpu() -> dict:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    what = (
        f"{platform.machine()}, {os.cpu_count()} logical processors, {torch.get_num_threads()} threads used"
    )
    return {"device": "cpu", "what": what, "memory": memory, "kernels": _kernels(torch.device("cpu"))}


def _card(number: int) -> dict:
    card = torch.cuda.get_device_properties(number)
    what = f"{card.name}, compute capability {card.major}.{card.minor}"
    device = torch.device("cuda", number)
    return {"device": str(device), "what": what, "memory": card.total_memory, "kernels": _kernels(device)}


def _kernels(device: torch.device) -> dict[str, str]:
    """Each implementation: "usable", or why it is not."""
    found = {"torch": "usable"}
    try:
        pick("triton", torch.empty(1, device=device))
        found["triton"] = "usable"
    except BackendUnavailable as error:
        found["triton"] = str(error).removeprefix("backend='triton' ").partition(";")[0]
    return found


def report(found: dict) -> str:
    """The same as text."""
    lines = [f"Python {found['python']} on {found['system']}", "", "packages"]
    for name, version in found["packages"].items():
        missing = "runs from its source" if name == OURS else f"not installed ({USEFUL.get(name, 'needed')})"
        lines.append(f"  {name:18} {version or missing}")
    lines += ["", "devices"]
    for device in found["devices"]:
        lines.append(f"  {device['device']:18} {device['what']}, {device['memory'] / GIB:,.1f} GiB")
        lines += [f"    kernels: {name:7} {state}" for name, state in device["kernels"].items()]
    if len(found["devices"]) == 1:
        built = f"built for CUDA {found['cuda']}" if found["cuda"] else "built without CUDA"
        lines.append(f"  no card: PyTorch is {built} and finds none")
    lines += ["", *(found["problems"] or ["Nothing is missing."])]
    return "\n".join(lines)
