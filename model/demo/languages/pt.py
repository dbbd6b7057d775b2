"""Portuguese as it is typed in Brazil, with "você" for the one who is asked.

Adjectives follow the noun, size last ("o círculo vermelho grande"). "De" melts together with the article.
Laranja and rosa never change.
"""

from __future__ import annotations

from model.demo.languages.language import Language, Split

# singular, plural, feminine
_NOUNS = {
    "circle": ("círculo", "círculos", False),
    "square": ("quadrado", "quadrados", False),
    "triangle": ("triângulo", "triângulos", False),
    "star": ("estrela", "estrelas", True),
    "cross": ("cruz", "cruzes", True),
    "heart": ("coração", "corações", False),
    "diamond": ("losango", "losangos", False),
    "moon": ("lua", "luas", True),
    "digit": ("dígito", "dígitos", False),
    None: ("objeto", "objetos", False),
}
# masculine, feminine
_ARTICLES = {
    "o": ("o ", "a "),
    "um": ("um ", "uma "),
    "do": ("do ", "da "),
    "ao": ("ao ", "à "),
    "os": ("os ", "as "),
    "quantos": ("quantos ", "quantas "),
    "plural": ("", ""),
}
_PLURAL_FORMS = ("os", "quantos", "plural")
# masculine and feminine, then both in the plural
_ADJECTIVES = {
    "red": ("vermelho", "vermelha", "vermelhos", "vermelhas"),
    "orange": ("laranja",) * 4,
    "yellow": ("amarelo", "amarela", "amarelos", "amarelas"),
    "green": ("verde", "verde", "verdes", "verdes"),
    "blue": ("azul", "azul", "azuis", "azuis"),
    "purple": ("roxo", "roxa", "roxos", "roxas"),
    "pink": ("rosa",) * 4,
    "brown": ("marrom", "marrom", "marrons", "marrons"),
    "black": ("preto", "preta", "pretos", "pretas"),
    "white": ("branco", "branca", "brancos", "brancas"),
    "big": ("grande", "grande", "grandes", "grandes"),
    "small": ("pequeno", "pequena", "pequenos", "pequenas"),
}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: those of _ARTICLES ("plural" has none), "pequeno" (alone), "colour", "shape"."""
    singular, plural, feminine = _NOUNS[shape]
    if form == "colour":
        return _ADJECTIVES[str(colour)][0]
    if form == "shape":
        return singular
    if form == "pequeno":
        return _ADJECTIVES["small"][feminine]
    many = form in _PLURAL_FORMS
    words = [plural if many else singular]
    words += [_ADJECTIVES[word][feminine + 2 * many] for word in (colour, size) if word]
    return _ARTICLES[form][feminine] + " ".join(words)


ASK = {
    "colour": Split(
        (
            "Qual é a cor {thing:do}{where}?",
            "Qual a cor {thing:do}{where}?",
            "De que cor é {thing:o}{where}?",
            "Que cor tem {thing:o}{where}?",
            "{thing:o}{where} é de que cor?",
            "{thing:o}{where} tem que cor?",
            "Diga a cor {thing:do}{where}.",
            "Você pode me dizer a cor {thing:do}{where}?",
        ),
        ("Você sabe dizer de que cor é {thing:o}{where}?", "Quero saber que cor tem {thing:o}{where}."),
    ),
    "shape": Split(
        (
            "Qual é a forma {thing:do}{where}?",
            "Qual a forma {thing:do}{where}?",
            "Que forma tem {thing:o}{where}?",
            "{thing:o}{where} tem que forma?",
            "Que tipo de forma tem {thing:o}{where}?",
            "Diga a forma {thing:do}{where}.",
            "Você pode me dizer a forma {thing:do}{where}?",
        ),
        ("Você sabe dizer que forma tem {thing:o}{where}?", "Quero saber a forma {thing:do}{where}."),
    ),
    "only_shape": Split(
        (
            "Que forma há{where}?",
            "Qual forma aparece{where}?",
            "Que forma você vê{where}?",
            "Que forma {image} mostra?",
        ),
        ("Qual forma você vê{where}?", "Diga que forma há{where}."),
    ),
    "size": Split(
        (
            "{thing:o}{where} é grande ou {thing:pequeno}?",
            "{thing:o}{where} é {thing:pequeno} ou grande?",
            "Qual é o tamanho {thing:do}{where}?",
            "De que tamanho é {thing:o}{where}?",
            "Que tamanho tem {thing:o}{where}?",
            "Diga se {thing:o}{where} é grande ou {thing:pequeno}.",
        ),
        (
            "Você pode me dizer se {thing:o}{where} é grande ou {thing:pequeno}?",
            "Quero saber o tamanho {thing:do}{where}.",
        ),
    ),
    "count": Split(
        (
            "{thing:quantos} há{where}?",
            "{thing:quantos} tem{where}?",
            "{thing:quantos} você vê{where}?",
            "{thing:quantos} aparecem{where}?",
            "{thing:quantos} {image} mostra?",
            "Conte {thing:os}{where}.",
            "Qual é o número de {thing:plural}{where}?",
        ),
        ("{thing:quantos} você consegue contar{where}?", "Quero saber {thing:quantos} há{where}."),
    ),
    "left_right": Split(
        (
            "{thing:o}{where} está à esquerda ou à direita?",
            "{thing:o}{where} está à direita ou à esquerda?",
            "{thing:o}{where} fica à esquerda ou à direita?",
            "De que lado está {thing:o}{where}, à esquerda ou à direita?",
        ),
        (
            "Diga de que lado fica {thing:o}{where}, à direita ou à esquerda.",
            "Você pode me dizer se {thing:o}{where} está à esquerda ou à direita?",
        ),
    ),
    "top_bottom": Split(
        (
            "{thing:o}{where} está em cima ou embaixo?",
            "{thing:o}{where} está embaixo ou em cima?",
            "{thing:o}{where} fica em cima ou embaixo?",
            "Diga se {thing:o}{where} está em cima ou embaixo.",
        ),
        (
            "Você pode me dizer se {thing:o}{where} está em cima ou embaixo?",
            "Em cima ou embaixo: onde está {thing:o}{where}?",
        ),
    ),
    "left_of": Split(
        (
            "{thing:o} está à esquerda {other:do}{where}?",
            "{thing:o} fica à esquerda {other:do}{where}?",
            "{thing:o} está do lado esquerdo {other:do}{where}?",
        ),
        ("Você pode me dizer se {thing:o} está à esquerda {other:do}{where}?",),
    ),
    "right_of": Split(
        (
            "{thing:o} está à direita {other:do}{where}?",
            "{thing:o} fica à direita {other:do}{where}?",
            "{thing:o} está do lado direito {other:do}{where}?",
        ),
        ("Você pode me dizer se {thing:o} está à direita {other:do}{where}?",),
    ),
    "above": Split(
        (
            "{thing:o} está acima {other:do}{where}?",
            "{thing:o} fica acima {other:do}{where}?",
            "{thing:o} está mais para cima que {other:o}{where}?",
        ),
        ("Você pode me dizer se {thing:o} está acima {other:do}{where}?",),
    ),
    "below": Split(
        (
            "{thing:o} está abaixo {other:do}{where}?",
            "{thing:o} fica abaixo {other:do}{where}?",
            "{thing:o} está mais para baixo que {other:o}{where}?",
        ),
        ("Você pode me dizer se {thing:o} está abaixo {other:do}{where}?",),
    ),
    "which": Split(
        (
            "Qual imagem tem {thing:um}?",
            "Qual imagem mostra {thing:um}?",
            "Em qual imagem há {thing:um}?",
            "Em qual foto você vê {thing:um}?",
            "Qual das imagens tem {thing:um}?",
            "Diga em qual imagem aparece {thing:um}.",
        ),
        ("Qual das imagens mostra {thing:um}?", "Em que foto aparece {thing:um}?"),
    ),
    "same_shape": Split(
        (
            "A imagem {n} e a imagem {m} mostram a mesma forma?",
            "A forma da imagem {n} é igual à da imagem {m}?",
            "É a mesma forma na foto {n} e na foto {m}?",
            "As imagens {n} e {m} têm a mesma forma?",
        ),
        ("Você vê a mesma forma nas imagens {n} e {m}?", "As fotos {n} e {m} mostram a mesma forma?"),
    ),
    "same_colour": Split(
        (
            "A imagem {n} e a imagem {m} mostram a mesma cor?",
            "A cor da imagem {n} é igual à da imagem {m}?",
            "É a mesma cor na foto {n} e na foto {m}?",
            "Os objetos nas imagens {n} e {m} têm a mesma cor?",
        ),
        ("Você vê a mesma cor nas imagens {n} e {m}?", "As fotos {n} e {m} mostram a mesma cor?"),
    ),
    "odd": Split(
        (
            "Qual imagem é diferente das outras?",
            "Qual foto é diferente das outras?",
            "Qual imagem é a intrusa?",
            "Qual foto não combina com as outras?",
        ),
        ("Diga qual foto é a intrusa.", "Qual imagem não combina?"),
    ),
    "digit": Split(
        (
            "Que dígito há{where}?",
            "Que dígito você vê{where}?",
            "Qual dígito está escrito{where}?",
            "Que dígito {image} mostra?",
            "Leia o dígito{where}.",
        ),
        ("Você consegue ler o dígito{where}?", "Diga que dígito há{where}."),
    ),
    "describe": Split(
        (
            "Descreva {image}.",
            "O que há{where}?",
            "O que você vê{where}?",
            "O que {image} mostra?",
            "Você pode descrever {image}?",
        ),
        ("Poderia descrever {image}?", "Diga o que {image} mostra.", "O que aparece{where}?"),
    ),
    "exist": Split(
        (
            "Há {thing:um}{where}?",
            "Tem {thing:um}{where}?",
            "Você vê {thing:um}{where}?",
            "{image} mostra {thing:um}?",
            "Diga se há {thing:um}{where}.",
        ),
        ("Aparece {thing:um}{where}?", "Você pode me dizer se há {thing:um}{where}?"),
    ),
    "elsewhere": Split(("E{where}?", "E {image}?", "E agora{where}?"), ("Mas e{where}?", "Mas e {image}?")),
    "another": Split(("E {thing:o}?", "E quanto {thing:ao}?"), ("Mas e {thing:o}?",)),
}

ANSWERS = {
    "colour": "{thing:colour}.",
    "shape": "{thing:shape}.",
    "big": "Grande.",
    "small": "{thing:pequeno}.",
    "left": "À esquerda.",
    "right": "À direita.",
    "top": "Em cima.",
    "bottom": "Embaixo.",
    **dict.fromkeys(("relation_yes", "exist_yes", "same_yes"), "Sim."),
    **dict.fromkeys(("relation_no", "exist_no", "same_no"), "Não."),
    "none": "Não há.",
    "number": "{n}.",
    "image": "Imagem {n}.",
    "item": "{thing:um}",
}

CHAT = {
    "greeting": (
        Split(("Oi", "Oi!", "Olá", "Olá!", "Ei", "Bom dia", "Boa noite!"), ("Oi, bom dia", "Boa tarde!")),
        "Olá! Mostre uma imagem e faça uma pergunta.",
    ),
    "how_are_you": (
        Split(
            ("Como vai?", "Tudo bem?", "Como você está?", "Como vai você?"), ("Oi, tudo bem?", "Como está?")
        ),
        "Estou bem, obrigado.",
    ),
    "who": (
        Split(
            (
                "Quem é você?",
                "O que é você?",
                "Qual é o seu nome?",
                "Você é o Llama 4?",
                "Que modelo você é?",
            ),
            ("Oi, quem é você?", "Você pode me dizer quem você é?"),
        ),
        "Sou um modelo didático bem pequeno, construído como o Llama 4.",
    ),
    "abilities": (
        Split(
            ("O que você sabe fazer?", "O que posso perguntar?", "Como você pode me ajudar?", "Ajuda"),
            ("Você pode me dizer o que sabe fazer?", "O que posso perguntar a você?"),
        ),
        "Sei identificar, contar e comparar formas em imagens.",
    ),
    "thanks": (
        Split(
            ("Obrigado", "Obrigada", "Muito obrigado!", "Ótimo, obrigado!"),
            ("Muito obrigada!", "Ótimo, muito obrigado!"),
        ),
        "De nada.",
    ),
    "bye": (Split(("Tchau", "Tchau!", "Até logo", "Até mais!", "Adeus"), ("Tchau, até mais!",)), "Até logo!"),
    "outside": (
        Split(
            (
                "Qual é a capital da França?",
                "Conte uma piada.",
                "Quanto é dois mais dois?",
                "Escreva um poema.",
                "Como está o tempo hoje?",
                "Quem é o presidente?",
                "Que horas são?",
                "Quem escreveu Hamlet?",
            ),
            ("Qual é a capital da Itália?", "Escreva uma história para mim.", "Diga que horas são."),
        ),
        "Desculpe, só conheço formas em imagens.",
    ),
}

LANGUAGE = Language(
    code="pt",
    name="Portuguese",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("a imagem {n}", "a figura {n}", "a foto {n}"), ("a imagem número {n}", "a foto {n}")),
    only=Split(("a imagem", "a foto", "esta imagem", "essa imagem"), ("esta foto", "a imagem")),
    in_numbered=Split(
        (" na imagem {n}", " na figura {n}", " na foto {n}"), (" na imagem número {n}", " na foto {n}")
    ),
    in_only=Split(("", " na imagem", " na foto", " nesta imagem"), ("", " nesta foto", " na imagem")),
    answers=ANSWERS,
    separators=(", ", " e "),
    full_stop=".",
    chat=CHAT,
    no_picture="Mostre uma imagem primeiro, por favor.",
    before=("Por favor, ", "Olha, ", "Ok, ", "Então, "),
    after=(", por favor", " por favor"),
)
