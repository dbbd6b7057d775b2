"""French.

A form carries article or preposition with its contraction or elision ("du cercle", "de l'étoile",
"d'étoiles"); sizes stand before the noun, colours behind it, "orange" and "marron" never change. Names of
pictures are feminine, so that "de" never contracts with them. A plain space stands before "?", "!" and ":",
as French keyboards give it. The model says "tu", askers mostly too.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

# noun, plural, feminine?
_NOUNS = {
    "circle": ("cercle", "cercles", False), "square": ("carré", "carrés", False),
    "triangle": ("triangle", "triangles", False), "star": ("étoile", "étoiles", True),
    "cross": ("croix", "croix", True), "heart": ("cœur", "cœurs", False),
    "diamond": ("losange", "losanges", False), "moon": ("lune", "lunes", True),
    "digit": ("chiffre", "chiffres", False), None: ("objet", "objets", False),
}  # fmt: skip
# masculine and feminine
_ADJECTIVES = {
    "red": ("rouge", "rouge"), "orange": ("orange", "orange"), "yellow": ("jaune", "jaune"),
    "green": ("vert", "verte"), "blue": ("bleu", "bleue"), "purple": ("violet", "violette"),
    "pink": ("rose", "rose"), "brown": ("marron", "marron"), "black": ("noir", "noire"),
    "white": ("blanc", "blanche"), "big": ("grand", "grande"), "small": ("petit", "petite"),
}  # fmt: skip
_INVARIABLE = ("orange", "marron")


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "le", "du", "un", "les", "de plural", "il", "grand", "petit", "colour", "shape"."""
    noun, plural, feminine = _NOUNS[shape]
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form == "shape":
        return noun
    if form == "il":
        return "elle" if feminine else "il"
    if form in ("grand", "petit"):
        return f"{form}e" if feminine else form
    many = form in ("les", "de plural")

    def agreeing(word: str) -> str:
        adjective = _ADJECTIVES[word][feminine]
        return f"{adjective}s" if many and adjective not in _INVARIABLE else adjective

    words = [*([agreeing(size)] if size else []), plural if many else noun]
    name = " ".join([*words, *([agreeing(colour)] if colour else [])])
    elided = name[0] in "éo"  # "étoile", "objet"
    if form == "le":
        return f"l'{name}" if elided else f"{'la' if feminine else 'le'} {name}"
    if form == "du":
        return f"de l'{name}" if elided else f"{'de la' if feminine else 'du'} {name}"
    if form == "un":
        return f"{'une' if feminine else 'un'} {name}"
    return f"les {name}" if form == "les" else f"d'{name}" if elided else f"de {name}"


ASK = {
    "colour": Split(
        (
            "De quelle couleur est {thing:le}{where} ?",
            "Quelle est la couleur {thing:du}{where} ?",
            "Quelle couleur a {thing:le}{where} ?",
            "{thing:le}{where} est de quelle couleur ?",
            "C'est quoi la couleur {thing:du}{where} ?",
            "Dis-moi la couleur {thing:du}{where}.",
            "Peux-tu me dire de quelle couleur est {thing:le}{where} ?",
            "Pouvez-vous me dire la couleur {thing:du}{where} ?",
            "{thing:le}{where} : de quelle couleur est-{thing:il} ?",
        ),
        ("Indique-moi la couleur {thing:du}{where}.", "Quelle couleur vois-tu pour {thing:le}{where} ?"),
    ),
    "shape": Split(
        (
            "Quelle forme a {thing:le}{where} ?",
            "Quelle est la forme {thing:du}{where} ?",
            "De quelle forme est {thing:le}{where} ?",
            "{thing:le}{where} a quelle forme ?",
            "C'est quoi la forme {thing:du}{where} ?",
            "Dis-moi la forme {thing:du}{where}.",
            "Peux-tu me dire quelle forme a {thing:le}{where} ?",
            "Pouvez-vous me dire la forme {thing:du}{where} ?",
        ),
        ("Indique-moi la forme {thing:du}{where}.", "Quelle forme vois-tu pour {thing:le}{where} ?"),
    ),
    "only_shape": Split(
        (
            "Quelle forme y a-t-il{where} ?",
            "Quelle forme vois-tu{where} ?",
            "Quelle forme est-ce que tu vois{where} ?",
            "Quelle forme montre {image} ?",
        ),
        ("Quelle forme peux-tu voir{where} ?", "Dis-moi quelle forme il y a{where}."),
    ),
    "size": Split(
        (
            "Est-ce que {thing:le}{where} est {thing:grand} ou {thing:petit} ?",
            "{thing:le}{where} est-{thing:il} {thing:petit} ou {thing:grand} ?",
            "{thing:le}{where} est {thing:grand} ou {thing:petit} ?",
            "Quelle est la taille {thing:du}{where} ?",
            "Quelle taille a {thing:le}{where} ?",
            "De quelle taille est {thing:le}{where} ?",
            "Dis-moi si {thing:le}{where} est {thing:grand} ou {thing:petit}.",
        ),
        ("Quelle taille fait {thing:le}{where} ?", "Je veux savoir quelle est la taille {thing:du}{where}."),
    ),
    "count": Split(
        (
            "Combien {thing:de plural} y a-t-il{where} ?",
            "Combien y a-t-il {thing:de plural}{where} ?",
            "Il y a combien {thing:de plural}{where} ?",
            "Combien {thing:de plural} vois-tu{where} ?",
            "Combien {thing:de plural} contient {image} ?",
            "Combien {thing:de plural} montre {image} ?",
            "Compte {thing:les}{where}.",
            "Quel est le nombre {thing:de plural}{where} ?",
        ),
        ("Combien {thing:de plural} peux-tu compter{where} ?", "Compte {thing:les} que tu vois{where}."),
    ),
    "left_right": Split(
        (
            "Est-ce que {thing:le}{where} est à gauche ou à droite ?",
            "{thing:le}{where} est-{thing:il} à droite ou à gauche ?",
            "{thing:le}{where} est à gauche ou à droite ?",
            "De quel côté est {thing:le}{where}, à gauche ou à droite ?",
        ),
        (
            "Où se trouve {thing:le}{where}, à gauche ou à droite ?",
            "Dis-moi si {thing:le}{where} est à droite ou à gauche.",
        ),
    ),
    "top_bottom": Split(
        (
            "Est-ce que {thing:le}{where} est en haut ou en bas ?",
            "{thing:le}{where} est-{thing:il} en bas ou en haut ?",
            "{thing:le}{where} est en haut ou en bas ?",
            "Où est {thing:le}{where}, en haut ou en bas ?",
        ),
        (
            "Où se trouve {thing:le}{where}, en bas ou en haut ?",
            "Dis-moi si {thing:le}{where} est en bas ou en haut.",
        ),
    ),
    "left_of": Split(
        (
            "Est-ce que {thing:le} est à gauche {other:du}{where} ?",
            "{thing:le} est-{thing:il} à gauche {other:du}{where} ?",
            "{thing:le}{where} est à gauche {other:du} ?",
        ),
        ("Est-ce que {thing:le} se trouve à gauche {other:du}{where} ?",),
    ),
    "right_of": Split(
        (
            "Est-ce que {thing:le} est à droite {other:du}{where} ?",
            "{thing:le} est-{thing:il} à droite {other:du}{where} ?",
            "{thing:le}{where} est à droite {other:du} ?",
        ),
        ("Est-ce que {thing:le} se trouve à droite {other:du}{where} ?",),
    ),
    "above": Split(
        (
            "Est-ce que {thing:le} est au-dessus {other:du}{where} ?",
            "{thing:le}{where} est plus haut que {other:le} ?",
        ),
        ("Est-ce que {thing:le} se trouve au-dessus {other:du}{where} ?",),
    ),
    "below": Split(
        (
            "Est-ce que {thing:le} est en dessous {other:du}{where} ?",
            "{thing:le}{where} est plus bas que {other:le} ?",
        ),
        ("Est-ce que {thing:le} se trouve en dessous {other:du}{where} ?",),
    ),
    "which": Split(
        (
            "Quelle image contient {thing:un} ?",
            "Quelle image montre {thing:un} ?",
            "Sur quelle image y a-t-il {thing:un} ?",
            "Dans quelle image vois-tu {thing:un} ?",
            "Sur quelle photo y a-t-il {thing:un} ?",
            "Laquelle des images contient {thing:un} ?",
            "Dis-moi quelle image contient {thing:un}.",
        ),
        ("Sur laquelle des images y a-t-il {thing:un} ?", "Quelle photo montre {thing:un} ?"),
    ),
    "same_shape": Split(
        (
            "Est-ce que l'image {n} et l'image {m} montrent la même forme ?",
            "Les images {n} et {m} montrent-elles la même forme ?",
            "La forme sur l'image {n} est-elle la même que sur l'image {m} ?",
            "Y a-t-il la même forme dans l'image {n} et dans l'image {m} ?",
        ),
        (
            "Vois-tu la même forme dans les images {n} et {m} ?",
            "Est-ce la même forme dans l'image {n} et dans l'image {m} ?",
        ),
    ),
    "same_colour": Split(
        (
            "Est-ce que l'image {n} et l'image {m} montrent la même couleur ?",
            "Les objets des images {n} et {m} ont-ils la même couleur ?",
            "La couleur sur l'image {n} est-elle la même que sur l'image {m} ?",
            "Y a-t-il la même couleur dans l'image {n} et dans l'image {m} ?",
        ),
        (
            "Vois-tu la même couleur dans les images {n} et {m} ?",
            "Est-ce la même couleur dans l'image {n} et dans l'image {m} ?",
        ),
    ),
    "odd": Split(
        (
            "Quelle image est l'intrus ?",
            "Quelle est l'image intruse ?",
            "Quelle image est différente des autres ?",
            "Quelle image ne va pas avec les autres ?",
        ),
        ("Dis-moi quelle image est l'intrus.", "Laquelle des images est différente des autres ?"),
    ),
    "digit": Split(
        (
            "Quel chiffre y a-t-il{where} ?",
            "Quel chiffre vois-tu{where} ?",
            "Quel chiffre est écrit{where} ?",
            "Quel chiffre montre {image} ?",
            "Lis le chiffre{where}.",
        ),
        ("Peux-tu lire le chiffre{where} ?", "Dis-moi quel chiffre il y a{where}."),
    ),
    "describe": Split(
        (
            "Décris {image}.",
            "Que vois-tu{where} ?",
            "Qu'est-ce que tu vois{where} ?",
            "Qu'est-ce qu'il y a{where} ?",
            "Que montre {image} ?",
            "Peux-tu décrire {image} ?",
        ),
        ("Décris-moi {image}.", "Dis-moi ce que montre {image}.", "Que peux-tu voir{where} ?"),
    ),
    "exist": Split(
        (
            "Y a-t-il {thing:un}{where} ?",
            "Est-ce qu'il y a {thing:un}{where} ?",
            "Vois-tu {thing:un}{where} ?",
            "Est-ce que {image} contient {thing:un} ?",
            "Dis-moi s'il y a {thing:un}{where}.",
        ),
        ("Est-ce que {image} montre {thing:un} ?", "Peux-tu me dire s'il y a {thing:un}{where} ?"),
    ),
    "elsewhere": Split(
        ("Et{where} ?", "Et {image} ?", "Et pour {image} ?", "Et qu'en est-il de {image} ?"),
        ("Qu'en est-il de {image} ?", "Qu'en est-il{where} ?"),
    ),
    "another": Split(
        ("Et {thing:le} ?", "Et pour {thing:le} ?", "Et qu'en est-il {thing:du} ?"),
        ("Qu'en est-il {thing:du} ?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.", "shape": "{thing:shape}.",
    "big": "{thing:grand}.", "small": "{thing:petit}.", "left": "À gauche.", "right": "À droite.",
    "top": "En haut.", "bottom": "En bas.", "relation_yes": "Oui.", "relation_no": "Non.",
    "exist_yes": "Oui.", "exist_no": "Non.", "same_yes": "Oui.", "same_no": "Non.",
    "none": "Il n'y en a pas.", "number": "{n}.", "image": "Image {n}.", "item": "{thing:un}",
}  # fmt: skip

CHAT = {
    "greeting": (
        Split(
            ("Bonjour", "Bonjour !", "Salut", "Salut !", "Coucou", "Bonsoir", "Bonsoir !", "Hello"),
            ("Bonjour à toi", "Salut toi !"),
        ),
        "Bonjour ! Montre-moi une image et pose-moi une question dessus.",
    ),
    "how_are_you": (
        Split(
            ("Comment ça va ?", "Ça va ?", "Comment vas-tu ?", "Comment allez-vous ?", "Tu vas bien ?"),
            ("Bonjour, comment ça va ?", "Comment vas-tu aujourd'hui ?"),
        ),
        "Je vais bien, merci.",
    ),
    "who": (
        Split(
            ("Qui es-tu ?", "Comment t'appelles-tu ?", "Dis-moi qui tu es.", "Es-tu Llama 4 ?"),
            ("Bonjour, qui es-tu ?", "Peux-tu me dire qui tu es ?"),
        ),
        "Je suis un tout petit modèle pédagogique, construit comme Llama 4.",
    ),
    "abilities": (
        Split(
            ("Que sais-tu faire ?", "Que peux-tu faire ?", "Comment peux-tu m'aider ?", "Aide"),
            ("Peux-tu me dire ce que tu sais faire ?", "Que puis-je te demander ?"),
        ),
        "Je sais nommer, compter et comparer les formes dans les images.",
    ),
    "thanks": (
        Split(
            ("Merci", "Merci !", "Merci bien", "Merci beaucoup.", "Super, merci !"),
            ("Un grand merci !", "Super, merci beaucoup."),
        ),
        "De rien.",
    ),
    "bye": (
        Split(("Au revoir", "Au revoir !", "À bientôt", "À plus tard !"), ("Au revoir, à bientôt !",)),
        "Au revoir !",
    ),
    "outside": (
        Split(
            (
                "Quelle est la capitale de la France ?",
                "Raconte-moi une blague.",
                "Combien font 2 plus 2 ?",
                "Écris un poème.",
                "Quel temps fait-il aujourd'hui ?",
                "Qui est le président ?",
                "Quelle heure est-il ?",
                "Qui a écrit Hamlet ?",
            ),
            ("Quelle est la capitale de l'Italie ?", "Écris-moi une histoire."),
        ),
        "Désolé, je ne connais que les formes dans les images.",
    ),
}

LANGUAGE = Language(
    code="fr",
    name="French",
    phrase=phrase,
    ask=ASK,
    numbered=Split(
        ("l'image {n}", "la photo {n}", "l'image numéro {n}"), ("la photo numéro {n}", "l'image {n}")
    ),
    only=Split(("l'image", "cette image", "la photo"), ("cette photo", "l'image")),
    in_numbered=Split(
        (" dans l'image {n}", " sur l'image {n}", " sur la photo {n}"),
        (" sur l'image numéro {n}", " dans l'image {n}"),
    ),
    in_only=Split(("", " dans l'image", " sur l'image", " sur cette image"), ("", " sur la photo")),
    answers=ANSWERS,
    separators=(", ", " et "),
    full_stop=".",
    chat=CHAT,
    no_picture="Montre-moi d'abord une image, s'il te plaît.",
    before=("S'il te plaît, ", "Alors, ", "OK, ", "Bon, "),
    after=(", s'il te plaît", ", s'il vous plaît", " stp"),
)
