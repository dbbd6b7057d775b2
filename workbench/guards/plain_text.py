"""Text as a person reads it, however it was written: what guards look at.

Words can be disguised without changing what a reader, or a model, makes of them: by characters that nobody
sees, by wide or styled letters, by letters of another alphabet. Not undone here: digits for letters,
misspellings, translations, ciphers; those take a guard that reads.
"""

from __future__ import annotations

import re
import unicodedata

from model.tokenizer import well_formed

# Default_Ignorable_Code_Point of the Unicode Character Database, interlinear annotations, and controls
# other than tabs and line ends
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
# ASCII written a second time where no font has a glyph for it; models read it all the same
TAGS = re.compile("[\U000e0020-\U000e007e]+")
SPACES = re.compile(r"\s+")
# Unicode's Stream-Safe Text Format (UAX #15): as many marks on one letter, then a joiner that nobody sees
MOST_MARKS, JOINER = 30, "\u034f"

# small letters, and how the Latin letter is written that they, or their capitals, look like
LOOKALIKES = str.maketrans(
    # Cyrillic
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458\u04bb\u04cf\u0501"
    # Greek
    "\u03b1\u03b2\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7"
    # Latin itself: dotless i, alpha, script g
    "\u0131\u0251\u0261",
    "abekmhopctyxsijhld"
    "abeikvoptux"
    "iag",
)  # fmt: skip


def readable(text: str) -> str:
    """The text in ordinary letters (Unicode's NFKC), with what is invisible taken out or made visible.

    Half of a surrogate pair, which is no character, becomes U+FFFD, as models are shown it.
    """
    shown = TAGS.sub(lambda run: f" {''.join(chr(ord(tag) - 0xE0000) for tag in run[0])} ", well_formed(text))
    return unicodedata.normalize("NFKC", _few_marks(INVISIBLE.sub("", shown)))


def folded(text: str) -> str:
    """The text for comparing: readable, in small letters without accents, one space where there were any.

    Letters of other alphabets that look like Latin ones become those; what is compared must be folded, too.
    """
    apart = unicodedata.normalize("NFKD", readable(text))
    bare = "".join(letter for letter in apart if not unicodedata.combining(letter) and letter != JOINER)
    small = unicodedata.normalize("NFC", bare.casefold().translate(LOOKALIKES))
    return SPACES.sub(" ", small)


def _few_marks(text: str) -> str:
    # n marks in a row are put in order in n² steps, a joiner ends the row
    kept, marks = [], 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks > MOST_MARKS:
            kept.append(JOINER)
            marks = 1
        kept.append(letter)
    return "".join(kept)
