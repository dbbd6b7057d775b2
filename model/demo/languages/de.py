"""German.

A form carries article, case and number: `phrase` declines the adjectives. "orange", "lila" and "rosa" do not
decline, as written German has it. {image} stands only as subject or object, which are alike in "das Bild";
questions about handwriting say "Ziffer", and once "Zahl", as people do. The model and the asker say "du".
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

# noun, gender, genitive, plural
_NOUNS = {
    "circle": ("Kreis", "m", "Kreises", "Kreise"), "square": ("Quadrat", "n", "Quadrats", "Quadrate"),
    "triangle": ("Dreieck", "n", "Dreiecks", "Dreiecke"), "star": ("Stern", "m", "Sterns", "Sterne"),
    "cross": ("Kreuz", "n", "Kreuzes", "Kreuze"), "heart": ("Herz", "n", "Herzens", "Herzen"),
    "diamond": ("Raute", "f", "Raute", "Rauten"), "moon": ("Mond", "m", "Mondes", "Monde"),
    "digit": ("Ziffer", "f", "Ziffer", "Ziffern"), None: ("Objekt", "n", "Objekts", "Objekte"),
}  # fmt: skip
_COLOURS = {
    "red": "rot", "orange": "orange", "yellow": "gelb", "green": "grün", "blue": "blau",
    "purple": "lila", "pink": "rosa", "brown": "braun", "black": "schwarz", "white": "weiß",
}  # fmt: skip
_SIZES = {"big": "groß", "small": "klein"}
_INDECLINABLE = ("orange", "lila", "rosa")
# article and ending of the adjective: masculine, feminine, neuter
_SINGULAR = {
    "der": (("der", "e"), ("die", "e"), ("das", "e")),
    "des": (("des", "en"), ("der", "en"), ("des", "en")),
    "dem": (("dem", "en"), ("der", "en"), ("dem", "en")),
    "vom": (("vom", "en"), ("von der", "en"), ("vom", "en")),
    "ein": (("ein", "er"), ("eine", "e"), ("ein", "es")),
    "einen": (("einen", "en"), ("eine", "e"), ("ein", "es")),
}
_PLURAL = {"plural": ("", "e"), "die plural": ("die", "en"), "der plural": ("der", "en")}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _SINGULAR and _PLURAL, and "colour", "shape" for the name alone."""
    if form == "colour":
        return _COLOURS[str(colour)]
    noun, gender, genitive, plural = _NOUNS[shape]
    if form == "shape":
        return noun
    if form in _PLURAL:
        (article, ending), noun = _PLURAL[form], plural
    else:
        article, ending = _SINGULAR[form]["mfn".index(gender)]
        if form == "des":
            noun = genitive
        elif noun == "Herz" and form in ("dem", "vom"):
            noun = "Herzen"
    adjectives = [table[word] for table, word in ((_SIZES, size), (_COLOURS, colour)) if word]
    declined = [word if word in _INDECLINABLE else word + ending for word in adjectives]
    return " ".join(word for word in (article, *declined, noun) if word)


ASK = {
    "colour": Split(
        (
            "Welche Farbe hat {thing:der}{where}?",
            "Was für eine Farbe hat {thing:der}{where}?",
            "Was ist die Farbe {thing:des}{where}?",
            "Nenne die Farbe {thing:des}{where}.",
            "Sag mir, welche Farbe {thing:der}{where} hat.",
            "Kannst du mir sagen, welche Farbe {thing:der}{where} hat?",
            "Weißt du, welche Farbe {thing:der}{where} hat?",
            "{thing:der}{where}: Welche Farbe ist das?",
        ),
        (
            "Könntest du mir die Farbe {thing:des}{where} sagen?",
            "Ich möchte wissen, welche Farbe {thing:der}{where} hat.",
            "Verrate mir, was für eine Farbe {thing:der}{where} hat.",
        ),
    ),
    "shape": Split(
        (
            "Welche Form hat {thing:der}{where}?",
            "Was für eine Form hat {thing:der}{where}?",
            "Was ist die Form {thing:des}{where}?",
            "Nenne die Form {thing:des}{where}.",
            "Sag mir, welche Form {thing:der}{where} hat.",
            "Kannst du mir sagen, welche Form {thing:der}{where} hat?",
            "{thing:der}{where}: Welche Form ist das?",
        ),
        (
            "Könntest du mir die Form {thing:des}{where} sagen?",
            "Ich möchte wissen, welche Form {thing:der}{where} hat.",
            "Verrate mir, was für eine Form {thing:der}{where} hat.",
        ),
    ),
    "only_shape": Split(
        (
            "Welche Form ist{where} zu sehen?",
            "Welche Form siehst du{where}?",
            "Welche Form gibt es{where}?",
            "Welche Form zeigt {image}?",
        ),
        ("Welche Form kannst du{where} sehen?", "Sag mir, welche Form{where} zu sehen ist."),
    ),
    "size": Split(
        (
            "Ist {thing:der}{where} groß oder klein?",
            "Ist {thing:der}{where} klein oder groß?",
            "Wie groß ist {thing:der}{where}?",
            "Welche Größe hat {thing:der}{where}?",
            "Was ist die Größe {thing:des}{where}?",
            "Sag mir, ob {thing:der}{where} groß oder klein ist.",
            "Kannst du mir sagen, wie groß {thing:der}{where} ist?",
        ),
        ("Was für eine Größe hat {thing:der}{where}?", "Ich möchte wissen, wie groß {thing:der}{where} ist."),
    ),
    "count": Split(
        (
            "Wie viele {thing:plural} gibt es{where}?",
            "Wie viele {thing:plural} siehst du{where}?",
            "Wie viele {thing:plural} sind{where} zu sehen?",
            "Wie viele {thing:plural} hat {image}?",
            "Wie viele {thing:plural} zeigt {image}?",
            "Zähle {thing:die plural}{where}.",
            "Nenne die Anzahl {thing:der plural}{where}.",
            "Sag mir, wie viele {thing:plural} es{where} gibt.",
        ),
        (
            "Wie viele {thing:plural} kannst du{where} zählen?",
            "Zähl mal {thing:die plural}, die du{where} siehst.",
            "Ich möchte wissen, wie viele {thing:plural} {image} hat.",
        ),
    ),
    "left_right": Split(
        (
            "Ist {thing:der}{where} links oder rechts?",
            "Ist {thing:der}{where} rechts oder links?",
            "Befindet sich {thing:der}{where} links oder rechts?",
            "Auf welcher Seite ist {thing:der}{where}, links oder rechts?",
        ),
        (
            "Sag mir, ob {thing:der}{where} rechts oder links ist.",
            "Liegt {thing:der}{where} rechts oder links?",
        ),
    ),
    "top_bottom": Split(
        (
            "Ist {thing:der}{where} oben oder unten?",
            "Ist {thing:der}{where} unten oder oben?",
            "Befindet sich {thing:der}{where} oben oder unten?",
            "Wo ist {thing:der}{where}, oben oder unten?",
        ),
        (
            "Sag mir, ob {thing:der}{where} oben oder unten ist.",
            "Wo befindet sich {thing:der}{where}, unten oder oben?",
        ),
    ),
    "left_of": Split(
        (
            "Ist {thing:der} links {other:vom}{where}?",
            "Ist {thing:der}{where} links {other:vom}?",
            "Befindet sich {thing:der} links {other:vom}{where}?",
        ),
        ("Liegt {thing:der}{where} links {other:vom}?",),
    ),
    "right_of": Split(
        (
            "Ist {thing:der} rechts {other:vom}{where}?",
            "Ist {thing:der}{where} rechts {other:vom}?",
            "Befindet sich {thing:der} rechts {other:vom}{where}?",
        ),
        ("Liegt {thing:der}{where} rechts {other:vom}?",),
    ),
    "above": Split(
        ("Ist {thing:der} über {other:dem}{where}?", "Ist {thing:der}{where} weiter oben als {other:der}?"),
        ("Liegt {thing:der}{where} über {other:dem}?",),
    ),
    "below": Split(
        ("Ist {thing:der} unter {other:dem}{where}?", "Ist {thing:der}{where} weiter unten als {other:der}?"),
        ("Liegt {thing:der}{where} unter {other:dem}?",),
    ),
    "which": Split(
        (
            "Welches Bild zeigt {thing:einen}?",
            "Welches Bild enthält {thing:einen}?",
            "Auf welchem Bild ist {thing:ein}?",
            "In welchem Bild gibt es {thing:einen}?",
            "Auf welchem Bild siehst du {thing:einen}?",
            "Welches der Bilder hat {thing:einen}?",
            "Sag mir, welches Bild {thing:einen} zeigt.",
        ),
        ("Auf welchem der Bilder ist {thing:ein} zu sehen?", "Welches Foto zeigt {thing:einen}?"),
    ),
    "same_shape": Split(
        (
            "Zeigen Bild {n} und Bild {m} die gleiche Form?",
            "Ist die Form in Bild {n} die gleiche wie in Bild {m}?",
            "Haben die Objekte in Bild {n} und Bild {m} die gleiche Form?",
            "Ist die Form auf Bild {n} und Bild {m} gleich?",
        ),
        (
            "Siehst du in Bild {n} und {m} die gleiche Form?",
            "Zeigen die Bilder {n} und {m} die gleiche Form?",
        ),
    ),
    "same_colour": Split(
        (
            "Zeigen Bild {n} und Bild {m} die gleiche Farbe?",
            "Ist die Farbe in Bild {n} die gleiche wie in Bild {m}?",
            "Haben die Objekte in Bild {n} und Bild {m} die gleiche Farbe?",
            "Ist die Farbe auf Bild {n} und Bild {m} gleich?",
        ),
        (
            "Siehst du in Bild {n} und {m} die gleiche Farbe?",
            "Zeigen die Bilder {n} und {m} die gleiche Farbe?",
        ),
    ),
    "odd": Split(
        (
            "Welches Bild passt nicht zu den anderen?",
            "Welches Bild passt nicht dazu?",
            "Welches Bild ist anders als die anderen?",
            "Welches der Bilder fällt aus der Reihe?",
        ),
        ("Sag mir, welches Bild nicht zu den anderen passt.", "Welches Bild fällt aus der Reihe?"),
    ),
    "digit": Split(
        (
            "Welche Ziffer ist{where} zu sehen?",
            "Welche Ziffer siehst du{where}?",
            "Welche Ziffer zeigt {image}?",
            "Welche Zahl siehst du{where}?",
            "Lies die Ziffer{where}.",
        ),
        ("Kannst du die Ziffer{where} lesen?", "Sag mir, welche Ziffer{where} zu sehen ist."),
    ),
    "describe": Split(
        (
            "Beschreibe {image}.",
            "Was ist{where} zu sehen?",
            "Was siehst du{where}?",
            "Was zeigt {image}?",
            "Kannst du {image} beschreiben?",
        ),
        ("Beschreib mir {image}.", "Sag mir, was {image} zeigt.", "Was kannst du{where} sehen?"),
    ),
    "exist": Split(
        (
            "Gibt es {thing:einen}{where}?",
            "Gibt es{where} {thing:einen}?",
            "Siehst du {thing:einen}{where}?",
            "Ist{where} {thing:ein} zu sehen?",
            "Zeigt {image} {thing:einen}?",
            "Sag mir, ob es{where} {thing:einen} gibt.",
        ),
        ("Enthält {image} {thing:einen}?", "Kannst du{where} {thing:einen} sehen?"),
    ),
    "elsewhere": Split(
        ("Und{where}?", "Und {image}?", "Und wie ist es{where}?", "Wie sieht es{where} aus?"),
        ("Und wie sieht es{where} aus?", "Wie ist es{where}?"),
    ),
    "another": Split(
        ("Und {thing:der}?", "Was ist mit {thing:dem}?", "Und was ist mit {thing:dem}?"),
        ("Wie ist es mit {thing:dem}?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.", "shape": "{thing:shape}.",
    "big": "Groß.", "small": "Klein.", "left": "Links.", "right": "Rechts.",
    "top": "Oben.", "bottom": "Unten.", "relation_yes": "Ja.", "relation_no": "Nein.",
    "exist_yes": "Ja.", "exist_no": "Nein.", "same_yes": "Ja.", "same_no": "Nein.",
    "none": "Das gibt es hier nicht.", "number": "{n}.", "image": "Bild {n}.", "item": "{thing:ein}",
}  # fmt: skip

CHAT = {
    "greeting": (
        Split(
            ("Hallo", "Hallo!", "Hi", "Hi!", "Hey", "Guten Morgen", "Guten Abend!", "Grüß dich"),
            ("Hallo du", "Guten Tag!"),
        ),
        "Hallo! Zeig mir ein Bild und frag mich etwas dazu.",
    ),
    "how_are_you": (
        Split(
            ("Wie geht es dir?", "Wie geht's?", "Wie geht es dir heute?", "Geht es dir gut?"),
            ("Hallo, wie geht es dir?", "Wie geht's dir heute?"),
        ),
        "Mir geht es gut, danke.",
    ),
    "who": (
        Split(
            ("Wer bist du?", "Was bist du?", "Wie heißt du?", "Sag mir, wer du bist.", "Bist du Llama 4?"),
            ("Hallo, wer bist du?", "Kannst du mir sagen, wer du bist?"),
        ),
        "Ich bin ein winziges Modell zum Lernen, gebaut wie Llama 4.",
    ),
    "abilities": (
        Split(
            ("Was kannst du?", "Was kann ich dich fragen?", "Wie kannst du mir helfen?", "Hilfe"),
            ("Kannst du mir sagen, was du kannst?", "Was kann ich fragen?"),
        ),
        "Ich kann Formen in Bildern benennen, zählen und vergleichen.",
    ),
    "thanks": (
        Split(
            ("Danke", "Danke!", "Danke schön", "Vielen Dank.", "Super, danke!"),
            ("Vielen Dank für die Hilfe!", "Super, danke schön."),
        ),
        "Gern geschehen.",
    ),
    "bye": (
        Split(("Tschüss", "Tschüss!", "Auf Wiedersehen", "Bis bald", "Bis später!"), ("Tschüss, bis bald!",)),
        "Tschüss!",
    ),
    "outside": (
        Split(
            (
                "Was ist die Hauptstadt von Frankreich?",
                "Erzähl mir einen Witz.",
                "Wie viel ist 2 plus 2?",
                "Schreib ein Gedicht.",
                "Wie ist das Wetter heute?",
                "Wer ist der Präsident?",
                "Wie spät ist es?",
                "Wer hat Hamlet geschrieben?",
            ),
            ("Was ist die Hauptstadt von Italien?", "Schreib mir eine Geschichte."),
        ),
        "Tut mir leid, ich kenne nur Formen in Bildern.",
    ),
}

LANGUAGE = Language(
    code="de",
    name="German",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("Bild {n}", "Foto {n}", "das {n}. Bild"), ("Bild Nummer {n}", "Bild {n}")),
    only=Split(("das Bild", "dieses Bild", "das Foto"), ("dieses Foto", "das Bild")),
    in_numbered=Split(
        (" in Bild {n}", " auf Bild {n}", " auf Foto {n}", " im {n}. Bild"),
        (" in Bild Nummer {n}", " auf Bild {n}"),
    ),
    in_only=Split(("", " im Bild", " auf dem Bild", " auf diesem Bild"), ("", " auf dem Foto")),
    answers=ANSWERS,
    separators=(", ", " und "),
    full_stop=".",
    chat=CHAT,
    no_picture="Bitte zeig mir zuerst ein Bild.",
    before=("Hallo, ", "Hey, ", "OK, ", "Also, "),
    after=(", bitte", " bitte"),
)
