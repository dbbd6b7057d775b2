"""The demo model's twelve languages: grammar in a module, all that is said in a TOML file beside it.

`language.Language` says what a language consists of.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import import_module, resources

from model.demo.languages.language import Language

CODES = ("ar", "de", "en", "es", "fr", "hi", "id", "it", "pt", "th", "tl", "vi")


@cache
def language(code: str) -> Language:
    """The language with that ISO 639-1 code, one of CODES.

    Raises:
        ValueError: an unknown code.
    """
    if code not in CODES:
        raise ValueError(f"language {code!r} is unknown; expected one of {', '.join(CODES)}")
    said = tomllib.loads(resources.files(__name__).joinpath(f"{code}.toml").read_text("utf-8"))
    return Language.read(code, import_module(f"{__name__}.{code}").phrase, said)
