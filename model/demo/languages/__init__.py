"""The demo model's twelve languages, one file each; `language.Language` says what a language consists of."""

from __future__ import annotations

from importlib import import_module

from model.demo.languages.language import Language

CODES = ("ar", "de", "en", "es", "fr", "hi", "id", "it", "pt", "th", "tl", "vi")


def language(code: str) -> Language:
    """The language with that ISO 639-1 code, one of CODES.

    Raises:
        ValueError: an unknown code.
    """
    if code not in CODES:
        raise ValueError(f"language {code!r} is unknown; expected one of {', '.join(CODES)}")
    return import_module(f"{__name__}.{code}").LANGUAGE
