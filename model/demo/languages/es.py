"""Spanish.

A form carries article, contraction and agreement ("del círculo", "de la estrella", "cuántas estrellas"); one
with a capital ("El", "Cuántos") stands right behind "¿". Colour and then size follow the noun: "el círculo
rojo grande". "naranja" and "rosa" have a plural but no gender. The words are shared by Spain and America.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

# noun, plural, feminine?
_NOUNS = {
    "circle": ("círculo", "círculos", False), "square": ("cuadrado", "cuadrados", False),
    "triangle": ("triángulo", "triángulos", False), "star": ("estrella", "estrellas", True),
    "cross": ("cruz", "cruces", True), "heart": ("corazón", "corazones", False),
    "diamond": ("rombo", "rombos", False), "moon": ("luna", "lunas", True),
    "digit": ("dígito", "dígitos", False), None: ("objeto", "objetos", False),
}  # fmt: skip
# masculine and feminine, then both in the plural
_ADJECTIVES = {
    "red": ("rojo", "roja", "rojos", "rojas"), "orange": ("naranja", "naranja", "naranjas", "naranjas"),
    "yellow": ("amarillo", "amarilla", "amarillos", "amarillas"),
    "green": ("verde", "verde", "verdes", "verdes"), "blue": ("azul", "azul", "azules", "azules"),
    "purple": ("morado", "morada", "morados", "moradas"), "pink": ("rosa", "rosa", "rosas", "rosas"),
    "brown": ("marrón", "marrón", "marrones", "marrones"),
    "black": ("negro", "negra", "negros", "negras"), "white": ("blanco", "blanca", "blancos", "blancas"),
    "big": ("grande", "grande", "grandes", "grandes"),
    "small": ("pequeño", "pequeña", "pequeños", "pequeñas"),
}  # fmt: skip
_ARTICLES = {
    "el": ("el", "la"),
    "del": ("del", "de la"),
    "un": ("un", "una"),
    "los": ("los", "las"),
    "cuántos": ("cuántos", "cuántas"),
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _ARTICLES, also with a capital, "grande", "pequeño", "colour" and "shape"."""
    if form[0].isupper():
        words = phrase(shape, colour, size, form.lower())
        return words[0].upper() + words[1:]
    noun, plural, feminine = _NOUNS[shape]
    if form == "shape":
        return noun
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form in ("grande", "pequeño"):
        return _ADJECTIVES["big" if form == "grande" else "small"][feminine]
    many = form in ("los", "cuántos")
    adjectives = [_ADJECTIVES[word][feminine + 2 * many] for word in (colour, size) if word]
    return " ".join([_ARTICLES[form][feminine], plural if many else noun, *adjectives])


ASK = {
    "colour": Split(
        (
            "¿De qué color es {thing:el}{where}?",
            "¿Cuál es el color {thing:del}{where}?",
            "¿Qué color tiene {thing:el}{where}?",
            "¿{thing:El}{where} de qué color es?",
            "Dime el color {thing:del}{where}.",
            "Dime de qué color es {thing:el}{where}.",
            "¿Puedes decirme de qué color es {thing:el}{where}?",
            "{thing:el}{where}: ¿qué color tiene?",
        ),
        (
            "¿Podrías decirme el color {thing:del}{where}?",
            "Quiero saber de qué color es {thing:el}{where}.",
            "¿Me puedes decir qué color tiene {thing:el}{where}?",
        ),
    ),
    "shape": Split(
        (
            "¿Qué forma tiene {thing:el}{where}?",
            "¿Cuál es la forma {thing:del}{where}?",
            "¿De qué forma es {thing:el}{where}?",
            "Dime la forma {thing:del}{where}.",
            "Dime qué forma tiene {thing:el}{where}.",
            "¿Puedes decirme qué forma tiene {thing:el}{where}?",
            "{thing:el}{where}: ¿qué forma tiene?",
        ),
        (
            "¿Podrías decirme la forma {thing:del}{where}?",
            "Quiero saber qué forma tiene {thing:el}{where}.",
            "¿Me puedes decir de qué forma es {thing:el}{where}?",
        ),
    ),
    "only_shape": Split(
        (
            "¿Qué forma hay{where}?",
            "¿Qué forma ves{where}?",
            "¿Qué forma aparece{where}?",
            "¿Qué forma muestra {image}?",
        ),
        ("¿Qué forma puedes ver{where}?", "Dime qué forma hay{where}."),
    ),
    "size": Split(
        (
            "¿Es {thing:grande} o {thing:pequeño} {thing:el}{where}?",
            "¿{thing:El}{where} es {thing:pequeño} o {thing:grande}?",
            "¿De qué tamaño es {thing:el}{where}?",
            "¿Qué tamaño tiene {thing:el}{where}?",
            "¿Cuál es el tamaño {thing:del}{where}?",
            "¿Qué tan grande es {thing:el}{where}?",
            "Dime si {thing:el}{where} es {thing:grande} o {thing:pequeño}.",
        ),
        ("¿Cómo de grande es {thing:el}{where}?", "Quiero saber de qué tamaño es {thing:el}{where}."),
    ),
    "count": Split(
        (
            "¿{thing:Cuántos} hay{where}?",
            "¿{thing:Cuántos} ves{where}?",
            "¿{thing:Cuántos} aparecen{where}?",
            "¿{thing:Cuántos} tiene {image}?",
            "¿{thing:Cuántos} muestra {image}?",
            "Cuenta {thing:los}{where}.",
            "Dime {thing:cuántos} hay{where}.",
        ),
        (
            "¿{thing:Cuántos} puedes contar{where}?",
            "Cuenta {thing:los} que ves{where}.",
            "Quiero saber {thing:cuántos} tiene {image}.",
        ),
    ),
    "left_right": Split(
        (
            "¿Está {thing:el}{where} a la izquierda o a la derecha?",
            "¿{thing:El}{where} está a la derecha o a la izquierda?",
            "¿Está {thing:el} a la izquierda o a la derecha{where}?",
            "¿En qué lado está {thing:el}{where}, a la izquierda o a la derecha?",
        ),
        (
            "Dime si {thing:el}{where} está a la izquierda o a la derecha.",
            "¿Dónde está {thing:el}{where}, a la derecha o a la izquierda?",
        ),
    ),
    "top_bottom": Split(
        (
            "¿Está {thing:el}{where} arriba o abajo?",
            "¿{thing:El}{where} está abajo o arriba?",
            "¿Está {thing:el} arriba o abajo{where}?",
            "¿Dónde está {thing:el}{where}, arriba o abajo?",
        ),
        ("Dime si {thing:el}{where} está arriba o abajo.", "¿Se encuentra {thing:el}{where} abajo o arriba?"),
    ),
    "left_of": Split(
        (
            "¿Está {thing:el} a la izquierda {other:del}{where}?",
            "¿{thing:El} está a la izquierda {other:del}{where}?",
            "¿Está {thing:el}{where} a la izquierda {other:del}?",
        ),
        ("¿Se encuentra {thing:el} a la izquierda {other:del}{where}?",),
    ),
    "right_of": Split(
        (
            "¿Está {thing:el} a la derecha {other:del}{where}?",
            "¿{thing:El} está a la derecha {other:del}{where}?",
            "¿Está {thing:el}{where} a la derecha {other:del}?",
        ),
        ("¿Se encuentra {thing:el} a la derecha {other:del}{where}?",),
    ),
    "above": Split(
        ("¿Está {thing:el} encima {other:del}{where}?", "¿Está {thing:el}{where} más arriba que {other:el}?"),
        ("¿Se encuentra {thing:el} encima {other:del}{where}?",),
    ),
    "below": Split(
        ("¿Está {thing:el} debajo {other:del}{where}?", "¿Está {thing:el}{where} más abajo que {other:el}?"),
        ("¿Se encuentra {thing:el} debajo {other:del}{where}?",),
    ),
    "which": Split(
        (
            "¿Qué imagen tiene {thing:un}?",
            "¿Qué imagen muestra {thing:un}?",
            "¿En qué imagen hay {thing:un}?",
            "¿En qué imagen ves {thing:un}?",
            "¿En qué foto hay {thing:un}?",
            "¿Cuál de las imágenes tiene {thing:un}?",
            "Dime en qué imagen aparece {thing:un}.",
        ),
        ("¿En cuál de las imágenes hay {thing:un}?", "¿Qué foto muestra {thing:un}?"),
    ),
    "same_shape": Split(
        (
            "¿Muestran la imagen {n} y la imagen {m} la misma forma?",
            "¿La forma en la imagen {n} es la misma que en la imagen {m}?",
            "¿Hay la misma forma en la imagen {n} y en la imagen {m}?",
            "¿Tienen los objetos de las imágenes {n} y {m} la misma forma?",
        ),
        (
            "¿Ves la misma forma en las imágenes {n} y {m}?",
            "¿Las imágenes {n} y {m} muestran la misma forma?",
        ),
    ),
    "same_colour": Split(
        (
            "¿Muestran la imagen {n} y la imagen {m} el mismo color?",
            "¿El color en la imagen {n} es el mismo que en la imagen {m}?",
            "¿Hay el mismo color en la imagen {n} y en la imagen {m}?",
            "¿Tienen los objetos de las imágenes {n} y {m} el mismo color?",
        ),
        (
            "¿Ves el mismo color en las imágenes {n} y {m}?",
            "¿Las imágenes {n} y {m} muestran el mismo color?",
        ),
    ),
    "odd": Split(
        (
            "¿Qué imagen es diferente de las demás?",
            "¿Qué imagen no encaja con las demás?",
            "¿Qué imagen es distinta de las otras?",
            "¿Cuál de las imágenes es la diferente?",
        ),
        ("Dime qué imagen es diferente de las otras.", "¿Qué imagen no encaja?"),
    ),
    "digit": Split(
        (
            "¿Qué dígito hay{where}?",
            "¿Qué dígito ves{where}?",
            "¿Qué dígito está escrito{where}?",
            "¿Qué dígito muestra {image}?",
            "¿Qué número ves{where}?",
            "Lee el dígito{where}.",
        ),
        ("¿Puedes leer el dígito{where}?", "Dime qué dígito hay{where}."),
    ),
    "describe": Split(
        (
            "Describe {image}.",
            "¿Qué hay{where}?",
            "¿Qué ves{where}?",
            "¿Qué muestra {image}?",
            "¿Puedes describir {image}?",
        ),
        ("Descríbeme {image}.", "Dime qué muestra {image}.", "¿Qué puedes ver{where}?"),
    ),
    "exist": Split(
        (
            "¿Hay {thing:un}{where}?",
            "¿Ves {thing:un}{where}?",
            "¿Aparece {thing:un}{where}?",
            "¿Tiene {image} {thing:un}?",
            "Dime si hay {thing:un}{where}.",
        ),
        ("¿Puedes ver {thing:un}{where}?", "¿Me puedes decir si hay {thing:un}{where}?"),
    ),
    "elsewhere": Split(
        ("¿Y{where}?", "¿Y {image}?", "¿Y qué tal {image}?", "¿Y qué pasa con {image}?"),
        ("¿Qué pasa con {image}?", "¿Y qué tal{where}?"),
    ),
    "another": Split(
        ("¿Y {thing:el}?", "¿Y qué tal {thing:el}?", "¿Y qué pasa con {thing:el}?"),
        ("¿Qué pasa con {thing:el}?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.", "shape": "{thing:shape}.",
    "big": "{thing:grande}.", "small": "{thing:pequeño}.", "left": "A la izquierda.",
    "right": "A la derecha.", "top": "Arriba.", "bottom": "Abajo.",
    "relation_yes": "Sí.", "relation_no": "No.", "exist_yes": "Sí.", "exist_no": "No.",
    "same_yes": "Sí.", "same_no": "No.", "none": "No hay nada así.", "number": "{n}.",
    "image": "Imagen {n}.", "item": "{thing:un}",
}  # fmt: skip

CHAT = {
    "greeting": (
        Split(
            ("Hola", "¡Hola!", "Hola!", "Buenas", "Buenos días", "Buenas tardes", "¡Buenas noches!"),
            ("Hola, buenas", "¡Muy buenas!"),
        ),
        "¡Hola! Muéstrame una imagen y pregúntame sobre ella.",
    ),
    "how_are_you": (
        Split(
            ("¿Cómo estás?", "¿Qué tal?", "¿Cómo te va?", "¿Cómo está usted?", "¿Estás bien?"),
            ("Hola, ¿cómo estás?", "¿Cómo estás hoy?"),
        ),
        "Estoy bien, gracias.",
    ),
    "who": (
        Split(
            ("¿Quién eres?", "¿Qué eres?", "¿Cómo te llamas?", "Dime quién eres.", "¿Eres Llama 4?"),
            ("Hola, ¿quién eres?", "¿Puedes decirme quién eres?"),
        ),
        "Soy un diminuto modelo didáctico, construido como Llama 4.",
    ),
    "abilities": (
        Split(
            ("¿Qué puedes hacer?", "¿Qué puedo preguntarte?", "¿Cómo puedes ayudarme?", "Ayuda"),
            ("¿Puedes decirme qué sabes hacer?", "¿Qué te puedo preguntar?"),
        ),
        "Puedo nombrar, contar y comparar formas en imágenes.",
    ),
    "thanks": (
        Split(
            ("Gracias", "¡Gracias!", "Muchas gracias.", "Gracias!", "¡Genial, gracias!"),
            ("¡Muchísimas gracias!", "Genial, muchas gracias."),
        ),
        "De nada.",
    ),
    "bye": (
        Split(("Adiós", "¡Adiós!", "Chao", "Hasta luego", "¡Hasta pronto!"), ("¡Adiós, hasta luego!",)),
        "¡Adiós!",
    ),
    "outside": (
        Split(
            (
                "¿Cuál es la capital de Francia?",
                "Cuéntame un chiste.",
                "¿Cuánto es 2 más 2?",
                "Escribe un poema.",
                "¿Qué tiempo hace hoy?",
                "¿Quién es el presidente?",
                "¿Qué hora es?",
                "¿Quién escribió Hamlet?",
            ),
            ("¿Cuál es la capital de Italia?", "Escríbeme un cuento.", "Dime qué hora es."),
        ),
        "Lo siento, solo sé de formas en imágenes.",
    ),
}

LANGUAGE = Language(
    code="es",
    name="Spanish",
    phrase=phrase,
    ask=ASK,
    numbered=Split(
        ("la imagen {n}", "la foto {n}", "la imagen número {n}"), ("la foto número {n}", "la imagen {n}")
    ),
    only=Split(("la imagen", "esta imagen", "la foto"), ("esta foto", "la imagen")),
    in_numbered=Split(
        (" en la imagen {n}", " en la foto {n}", " en la imagen número {n}"),
        (" en la foto número {n}", " en la imagen {n}"),
    ),
    in_only=Split(
        ("", " en la imagen", " en esta imagen", " en la foto"), ("", " en esta foto", " en la imagen")
    ),
    answers=ANSWERS,
    separators=(", ", " y "),
    full_stop=".",
    chat=CHAT,
    no_picture="Primero muéstrame una imagen, por favor.",
    before=("Por favor, ", "Oye, ", "OK, ", "A ver, "),
    after=(", por favor", " por favor"),
)
