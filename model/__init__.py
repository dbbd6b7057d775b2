"""Llama 4 itself: from a chat message with pictures to logits."""

from model.batch import Batch
from model.cache import KVCache
from model.checkpoint import WeightsError, load, save
from model.config import ConfigError, Llama4Config, TextConfig, VisionConfig
from model.generate import LogitsError, Step, generate, generate_batch
from model.hooks import HookPoint, UnknownHookError, recorded, replaced
from model.llama4 import Llama4
from model.processor import Inputs, Processor, Spans
from model.sampling import Constraint, SamplingParams

__all__ = [
    "Batch",
    "ConfigError",
    "Constraint",
    "HookPoint",
    "Inputs",
    "KVCache",
    "Llama4",
    "Llama4Config",
    "LogitsError",
    "Processor",
    "SamplingParams",
    "Spans",
    "Step",
    "TextConfig",
    "UnknownHookError",
    "VisionConfig",
    "WeightsError",
    "generate",
    "generate_batch",
    "load",
    "recorded",
    "replaced",
    "save",
]
