"""Italian, with "tu" for the one who is asked.

Adjectives follow the noun, size last ("il cerchio rosso grande"). Articles and "di" melt together and lose
their vowel before "oggetto", the only noun that starts with one. Blu, viola and rosa never change.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

# singular, plural, and which of a row of articles goes with it
_NOUNS = {
    "circle": ("cerchio", "cerchi", 0),
    "square": ("quadrato", "quadrati", 0),
    "triangle": ("triangolo", "triangoli", 0),
    "star": ("stella", "stelle", 1),
    "cross": ("croce", "croci", 1),
    "heart": ("cuore", "cuori", 0),
    "diamond": ("rombo", "rombi", 0),
    "moon": ("luna", "lune", 1),
    "digit": ("cifra", "cifre", 1),
    None: ("oggetto", "oggetti", 2),
}
# masculine, feminine, masculine before a vowel
_ARTICLES = {
    "il": ("il ", "la ", "l'"),
    "un": ("un ", "una ", "un "),
    "del": ("del ", "della ", "dell'"),
    "i": ("i ", "le ", "gli "),
    "quanti": ("quanti ", "quante ", "quanti "),
    "plurale": ("", "", ""),
}
_PLURAL_FORMS = ("i", "quanti", "plurale")
# masculine and feminine, then both in the plural
_ADJECTIVES = {
    "red": ("rosso", "rossa", "rossi", "rosse"),
    "orange": ("arancione", "arancione", "arancioni", "arancioni"),
    "yellow": ("giallo", "gialla", "gialli", "gialle"),
    "green": ("verde", "verde", "verdi", "verdi"),
    "blue": ("blu",) * 4,
    "purple": ("viola",) * 4,
    "pink": ("rosa",) * 4,
    "brown": ("marrone", "marrone", "marroni", "marroni"),
    "black": ("nero", "nera", "neri", "nere"),
    "white": ("bianco", "bianca", "bianchi", "bianche"),
    "big": ("grande", "grande", "grandi", "grandi"),
    "small": ("piccolo", "piccola", "piccoli", "piccole"),
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _ARTICLES ("plurale" has none), "piccolo" (alone), "colour", "shape"."""
    singular, plural, kind = _NOUNS[shape]
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form == "shape":
        return singular
    if form == "piccolo":
        return _ADJECTIVES["small"][kind % 2]
    many = form in _PLURAL_FORMS
    words = [plural if many else singular]
    words += [_ADJECTIVES[word][kind % 2 + 2 * many] for word in (colour, size) if word]
    return _ARTICLES[form][kind] + " ".join(words)


ASK = {
    "colour": Split(
        (
            "Di che colore è {thing:il}{where}?",
            "Qual è il colore {thing:del}{where}?",
            "Che colore ha {thing:il}{where}?",
            "Dimmi il colore {thing:del}{where}.",
            "Puoi dirmi di che colore è {thing:il}{where}?",
            "{thing:il}{where} di che colore è?",
            "{thing:il}{where}: che colore ha?",
        ),
        (
            "Sapresti dire di che colore è {thing:il}{where}?",
            "Vorrei sapere che colore ha {thing:il}{where}.",
        ),
    ),
    "shape": Split(
        (
            "Che forma ha {thing:il}{where}?",
            "Quale forma ha {thing:il}{where}?",
            "Qual è la forma {thing:del}{where}?",
            "Di che forma è {thing:il}{where}?",
            "Dimmi la forma {thing:del}{where}.",
            "Puoi dirmi che forma ha {thing:il}{where}?",
            "{thing:il}{where} che forma ha?",
        ),
        ("Sapresti dire che forma ha {thing:il}{where}?", "Vorrei sapere la forma {thing:del}{where}."),
    ),
    "only_shape": Split(
        (
            "Che forma c'è{where}?",
            "Quale forma c'è{where}?",
            "Che forma vedi{where}?",
            "Che forma mostra {image}?",
        ),
        ("Quale forma vedi{where}?", "Dimmi che forma c'è{where}."),
    ),
    "size": Split(
        (
            "{thing:il}{where} è grande o {thing:piccolo}?",
            "{thing:il}{where} è {thing:piccolo} o grande?",
            "È grande o {thing:piccolo} {thing:il}{where}?",
            "Che dimensioni ha {thing:il}{where}?",
            "Quanto è grande {thing:il}{where}?",
            "Dimmi se {thing:il}{where} è grande o {thing:piccolo}.",
        ),
        (
            "Puoi dirmi se {thing:il}{where} è grande o {thing:piccolo}?",
            "Vorrei sapere quanto è grande {thing:il}{where}.",
        ),
    ),
    "count": Split(
        (
            "{thing:quanti} ci sono{where}?",
            "{thing:quanti} vedi{where}?",
            "{thing:quanti} si vedono{where}?",
            "{thing:quanti} contiene {image}?",
            "{thing:quanti} mostra {image}?",
            "Conta {thing:i}{where}.",
            "Qual è il numero di {thing:plurale}{where}?",
        ),
        ("{thing:quanti} riesci a contare{where}?", "Vorrei sapere {thing:quanti} ci sono{where}."),
    ),
    "left_right": Split(
        (
            "{thing:il}{where} è a sinistra o a destra?",
            "{thing:il}{where} è a destra o a sinistra?",
            "{thing:il}{where} si trova a sinistra o a destra?",
            "Da che parte è {thing:il}{where}, a sinistra o a destra?",
        ),
        (
            "Dimmi da che parte si trova {thing:il}{where}, a destra o a sinistra.",
            "Puoi dirmi se {thing:il}{where} è a sinistra o a destra?",
        ),
    ),
    "top_bottom": Split(
        (
            "{thing:il}{where} è in alto o in basso?",
            "{thing:il}{where} è in basso o in alto?",
            "{thing:il}{where} si trova in alto o in basso?",
            "Dimmi se {thing:il}{where} è in alto o in basso.",
        ),
        (
            "Puoi dirmi se {thing:il}{where} è in alto o in basso?",
            "In alto o in basso: dov'è {thing:il}{where}?",
        ),
    ),
    "left_of": Split(
        (
            "{thing:il} è a sinistra {other:del}{where}?",
            "{thing:il} si trova a sinistra {other:del}{where}?",
            "{thing:il} sta a sinistra {other:del}{where}?",
        ),
        ("Puoi dirmi se {thing:il} è a sinistra {other:del}{where}?",),
    ),
    "right_of": Split(
        (
            "{thing:il} è a destra {other:del}{where}?",
            "{thing:il} si trova a destra {other:del}{where}?",
            "{thing:il} sta a destra {other:del}{where}?",
        ),
        ("Puoi dirmi se {thing:il} è a destra {other:del}{where}?",),
    ),
    "above": Split(
        ("{thing:il} è sopra {other:il}{where}?", "{thing:il} è più in alto {other:del}{where}?"),
        ("{thing:il} si trova sopra {other:il}{where}?",),
    ),
    "below": Split(
        ("{thing:il} è sotto {other:il}{where}?", "{thing:il} è più in basso {other:del}{where}?"),
        ("{thing:il} si trova sotto {other:il}{where}?",),
    ),
    "which": Split(
        (
            "Quale immagine contiene {thing:un}?",
            "Quale immagine mostra {thing:un}?",
            "In quale immagine c'è {thing:un}?",
            "In quale foto vedi {thing:un}?",
            "In quale delle immagini c'è {thing:un}?",
            "Dimmi quale immagine contiene {thing:un}.",
        ),
        ("Quale delle immagini mostra {thing:un}?", "In quale foto si vede {thing:un}?"),
    ),
    "same_shape": Split(
        (
            "L'immagine {n} e l'immagine {m} mostrano la stessa forma?",
            "La forma dell'immagine {n} è uguale a quella dell'immagine {m}?",
            "C'è la stessa forma nella foto {n} e nella foto {m}?",
            "Nelle immagini {n} e {m} c'è la stessa forma?",
        ),
        ("Vedi la stessa forma nelle immagini {n} e {m}?", "Le foto {n} e {m} mostrano la stessa forma?"),
    ),
    "same_colour": Split(
        (
            "L'immagine {n} e l'immagine {m} mostrano lo stesso colore?",
            "Il colore dell'immagine {n} è uguale a quello dell'immagine {m}?",
            "C'è lo stesso colore nella foto {n} e nella foto {m}?",
            "Gli oggetti nelle immagini {n} e {m} hanno lo stesso colore?",
        ),
        ("Vedi lo stesso colore nelle immagini {n} e {m}?", "Le foto {n} e {m} mostrano lo stesso colore?"),
    ),
    "odd": Split(
        (
            "Quale immagine è diversa dalle altre?",
            "Quale foto è diversa dalle altre?",
            "Quale immagine è l'intrusa?",
            "Quale foto non c'entra con le altre?",
        ),
        ("Dimmi quale foto è l'intrusa.", "Quale immagine non c'entra?"),
    ),
    "digit": Split(
        (
            "Quale cifra c'è{where}?",
            "Che cifra vedi{where}?",
            "Quale cifra è scritta{where}?",
            "Quale cifra mostra {image}?",
            "Leggi la cifra{where}.",
        ),
        ("Puoi leggere la cifra{where}?", "Dimmi quale cifra c'è{where}."),
    ),
    "describe": Split(
        (
            "Descrivi {image}.",
            "Cosa c'è{where}?",
            "Cosa vedi{where}?",
            "Cosa mostra {image}?",
            "Puoi descrivere {image}?",
        ),
        ("Mi descrivi {image}?", "Dimmi cosa mostra {image}.", "Cosa si vede{where}?"),
    ),
    "exist": Split(
        (
            "C'è {thing:un}{where}?",
            "Vedi {thing:un}{where}?",
            "{image} contiene {thing:un}?",
            "{image} mostra {thing:un}?",
            "Dimmi se c'è {thing:un}{where}.",
        ),
        ("Si vede {thing:un}{where}?", "Puoi dirmi se c'è {thing:un}{where}?"),
    ),
    "elsewhere": Split(
        ("E{where}?", "E {image}?", "E{where}, invece?", "E {image}, invece?"),
        ("E invece{where}?", "E invece {image}?"),
    ),
    "another": Split(("E {thing:il}?", "E {thing:il}, invece?"), ("E invece {thing:il}?",)),
}

ANSWERS = {
    "colour": "{thing:colour}.",
    "shape": "{thing:shape}.",
    "big": "Grande.",
    "small": "{thing:piccolo}.",
    "left": "A sinistra.",
    "right": "A destra.",
    "top": "In alto.",
    "bottom": "In basso.",
    **dict.fromkeys(("relation_yes", "exist_yes", "same_yes"), "Sì."),
    **dict.fromkeys(("relation_no", "exist_no", "same_no"), "No."),
    "none": "Non c'è.",
    "number": "{n}.",
    "image": "Immagine {n}.",
    "item": "{thing:un}",
}

CHAT = {
    "greeting": (
        Split(("Ciao", "Ciao!", "Salve", "Ehi", "Buongiorno", "Buonasera!"), ("Ehi, ciao", "Ciao a te!")),
        "Ciao! Mostrami un'immagine e fammi una domanda.",
    ),
    "how_are_you": (
        Split(
            ("Come stai?", "Come va?", "Come stai oggi?", "Tutto bene?"),
            ("Ciao, come stai?", "Come va oggi?"),
        ),
        "Sto bene, grazie.",
    ),
    "who": (
        Split(
            ("Chi sei?", "Cosa sei?", "Come ti chiami?", "Sei Llama 4?", "Che modello sei?"),
            ("Ciao, chi sei?", "Puoi dirmi chi sei?"),
        ),
        "Sono un piccolissimo modello didattico, costruito come Llama 4.",
    ),
    "abilities": (
        Split(
            ("Cosa sai fare?", "Cosa posso chiederti?", "Come puoi aiutarmi?", "Aiuto"),
            ("Puoi dirmi cosa sai fare?", "Cosa posso chiedere?"),
        ),
        "So riconoscere, contare e confrontare le forme nelle immagini.",
    ),
    "thanks": (
        Split(
            ("Grazie", "Grazie!", "Grazie mille!", "Ottimo, grazie!"), ("Grazie tante!", "Perfetto, grazie.")
        ),
        "Prego.",
    ),
    "bye": (
        Split(("Arrivederci", "Arrivederci!", "A presto", "Ci vediamo!", "A dopo!"), ("Ciao, a presto!",)),
        "Arrivederci!",
    ),
    "outside": (
        Split(
            (
                "Qual è la capitale della Francia?",
                "Raccontami una barzelletta.",
                "Quanto fa due più due?",
                "Scrivi una poesia.",
                "Che tempo fa oggi?",
                "Chi è il presidente?",
                "Che ore sono?",
                "Chi ha scritto l'Amleto?",
            ),
            ("Qual è la capitale dell'Italia?", "Scrivimi una storia.", "Dimmi che ore sono."),
        ),
        "Mi dispiace, conosco solo le forme nelle immagini.",
    ),
}

LANGUAGE = Language(
    code="it",
    name="Italian",
    phrase=phrase,
    ask=ASK,
    numbered=Split(
        ("l'immagine {n}", "la figura {n}", "la foto {n}"), ("l'immagine numero {n}", "la foto {n}")
    ),
    only=Split(("l'immagine", "la foto", "questa immagine"), ("questa foto", "l'immagine")),
    in_numbered=Split(
        (" nell'immagine {n}", " nella figura {n}", " nella foto {n}"),
        (" nell'immagine numero {n}", " nella foto {n}"),
    ),
    in_only=Split(
        ("", " nell'immagine", " nella foto", " in questa immagine"),
        ("", " in questa foto", " nell'immagine"),
    ),
    answers=ANSWERS,
    separators=(", ", " e "),
    full_stop=".",
    chat=CHAT,
    no_picture="Prima mostrami un'immagine, per favore.",
    before=("Per favore, ", "Senti, ", "Ok, ", "Allora, "),
    after=(", per favore", " per favore"),
)
