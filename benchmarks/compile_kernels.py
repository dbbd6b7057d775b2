"""Compile every Triton kernel for three generations of cards, without a card, and look at what came out.

    python -m benchmarks.compile_kernels             # all; compares with the baseline beside this file
    python -m benchmarks.compile_kernels --write     # and makes what came out the new baseline
    python -m benchmarks.compile_kernels --only gemv --card 90

A kernel fails that spills registers, asks for more shared memory than the card has, does not use the tensor
cores' own format, or reads its weights in pieces of less than 16 bytes. This is compilation, not execution:
it says what a card would be given, not how fast it is.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from benchmarks.kernel_cases import CARDS, Case, cases

BASELINE = Path(__file__).with_name("compile_kernels.json")
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
# what a multiplication of that format is called in each generation's machine code
PRODUCTS = {
    "fp8": {89: "QMMA", 90: "QGMMA", 100: "UTCQMMA"},
    "bf16": {89: "HMMA", 90: "HGMMA", 100: "UTCHMMA"},
}
WIDE_LOAD = re.compile(r"\b(LDG\S*\.128|LDGSTS\S*\.128|UTMALDG)")


@dataclass(frozen=True)
class Made:
    """What the compiler made of a case for one card."""

    registers: int
    stack: int  # bytes, where spilled registers go
    shared: int  # bytes
    products: int  # instructions on the tensor cores, in the case's format
    wide_loads: int  # of 16 bytes or more


def compile_case(case: Case, card: int) -> Made:
    """Compile and take apart."""
    source = ASTSource(case.kernel, case.signature(), case.constants(), case.attributes())
    compiled = triton.compile(source, target=GPUTarget("cuda", card, 32), options=case.options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        cubin.write(compiled.asm["cubin"])
        cubin.flush()
        usage = _tool("cuobjdump", "-res-usage", cubin.name)
        code = _tool("nvdisasm", "-c", cubin.name)
    registers, stack = (int(re.search(rf"{name}:(\d+)", usage)[1]) for name in ("REG", "STACK"))
    product = PRODUCTS[case.product][card] if case.product else None
    return Made(
        registers=registers,
        stack=stack,
        shared=compiled.metadata.shared,
        products=len(re.findall(rf"\b{product}\b", code)) if product else 0,
        wide_loads=len(WIDE_LOAD.findall(code)),
    )


def _tool(name: str, *arguments: str) -> str:
    return subprocess.run([TOOLS / name, *arguments], check=True, capture_output=True, text=True).stdout


def faults(case: Case, card: int, made: Made) -> list[str]:
    """What is wrong with it, in words."""
    found = []
    if made.stack:
        found.append(f"spills {made.stack} bytes")
    if made.shared > CARDS[card]:
        found.append(f"needs {made.shared} bytes of shared memory, the card has {CARDS[card]}")
    if made.registers * case.options["num_warps"] * 32 > 65536:
        found.append(f"{made.registers} registers are too many for its threads")
    if case.product and not made.products:
        found.append(f"has no {PRODUCTS[case.product][card]}")
    if case.reads_weights and not made.wide_loads:
        found.append("has no load of 16 bytes")
    return found


def check(only: str, cards: list[int], baseline: dict[str, dict]) -> tuple[dict[str, dict], list[str]]:
    """Compile what is asked for; what came out by name and card, and every fault."""
    results, wrong = {}, []
    for case in cases():
        if only not in case.name:
            continue
        for card in sorted(set(cards) & set(case.cards)):
            key = f"{case.name} sm_{card}"
            made = compile_case(case, card)
            results[key] = asdict(made)
            found = faults(case, card, made)
            before = baseline.get(key)
            if before and made.products < before["products"]:
                found.append(f"has {made.products} tensor-core products, the baseline {before['products']}")
            print(f"{key:<46}" + "".join(f"{value:>9}" for value in results[key].values()), *found, sep="  ")
            wrong += [f"{key}: {fault}" for fault in found]
    return results, wrong


def main(arguments: list[str] | None = None) -> None:
    """Compile, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--card", type=int, choices=CARDS, action="append", help="compute capability, as 90")
    parser.add_argument("--write", action="store_true", help="keep the result as the new baseline")
    options = parser.parse_args(arguments)
    if knobs.runtime.interpret:
        parser.error("TRITON_INTERPRET is set, and the interpreter compiles nothing; unset it")
    kept = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    baseline = kept.get("cases", {}) if kept.get("triton") == triton.__version__ else {}
    print(f"triton {triton.__version__}  baseline {kept.get('triton', 'none')}")
    print(f"{'':<46}" + "".join(f"{name:>9}" for name in ("regs", "stack", "shared", "products", "wide")))
    results, wrong = check(options.only, options.card or list(CARDS), baseline)
    if options.write:
        names = [f"{case.name} sm_{card}" for case in cases() for card in case.cards]
        made = {**baseline, **results}
        made = {name: made[name] for name in names if name in made}
        BASELINE.write_text(json.dumps({"triton": triton.__version__, "cases": made}, indent=1) + "\n")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
