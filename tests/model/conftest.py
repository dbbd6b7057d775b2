"""The tiny checkpoints, for every test in this folder."""

from tests.tiny import checkpoint, maverick

__all__ = ["checkpoint", "maverick"]
