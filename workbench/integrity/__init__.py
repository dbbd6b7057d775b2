"""Is a trace what happened? Every array held to what it must be, and to the others."""

from workbench.integrity.check import check
from workbench.integrity.recheck import recheck
from workbench.integrity.report import Flaw, Integrity, IntegrityError

__all__ = ["Flaw", "Integrity", "IntegrityError", "check", "recheck"]
