"""The compile gate compiles, sees what is wrong, and its baseline is of today's kernels.

It runs in one process of its own: in this one kernels may be made for Triton's interpreter.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASELINE = ROOT / "benchmarks" / "compile_kernels.json"


SCRIPT = """
import dataclasses, importlib, pathlib
from benchmarks import compile_kernels as gate
gate.main(["--only", "rows stream fp8 16", "--card", "90"])
case = next(case for case in gate.cases() if case.name == "rows stream fp8 16")
good = gate.Made(registers=64, stack=0, shared=40960, products=4, wide_loads=20)
assert gate.faults(case, 90, good) == []
for change, words in (
    ({"stack": 8}, "spills 8 bytes"),
    ({"shared": 300_000}, "needs 300000 bytes of shared memory"),
    ({"registers": 600}, "600 registers are too many"),
    ({"products": 0}, "has no QGMMA"),
    ({"wide_loads": 0}, "has no load of 16 bytes"),
):
    (fault,) = gate.faults(case, 90, dataclasses.replace(good, **change))
    assert fault.startswith(words), fault
written = {
    name
    for file in pathlib.Path("kernels").glob("*_triton.py")
    for name in vars(importlib.import_module(f"kernels.{file.stem}"))
    if name.endswith("_kernel")
}
assert written == {case.kernel.fn.__name__ for case in gate.cases()}, "a kernel that is not compiled"
names = [f"{case.name} sm_{card}" for case in gate.cases() for card in case.cards]
print(gate.json.dumps(names))
"""


@pytest.mark.slow
def test_a_sample_compiles_faults_are_named_and_the_baseline_has_every_case_without_one():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *compiled, names = done.stdout.splitlines()
    assert any(line.startswith("rows stream fp8 16 sm_90") for line in compiled)
    kept = json.loads(BASELINE.read_text())["cases"]
    assert sorted(json.loads(names)) == sorted(kept)
    assert not [name for name, made in kept.items() if made["stack"]]
