"""English."""

from __future__ import annotations

from model.demo.languages.language import Language, Split

_PLURALS = {"cross": "crosses"}


def phrase(shape: str | None, colour: str | None, size: str | None, form: str) -> str:
    """Forms: "the", "a", "plural", "colour", "shape"."""
    if form == "colour":
        return str(colour)
    noun = shape or "object"
    if form == "shape":
        return noun
    if form == "plural":
        noun = _PLURALS.get(noun, f"{noun}s")
    words = " ".join(word for word in (size, colour, noun) if word)
    if form == "plural":
        return words
    return f"the {words}" if form == "the" else f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


ASK = {
    "colour": Split(
        (
            "What colour is {thing:the}{where}?",
            "What's the colour of {thing:the}{where}?",
            "Which colour does {thing:the}{where} have?",
            "What colour does {thing:the}{where} have?",
            "Tell me the colour of {thing:the}{where}.",
            "Can you tell me what colour {thing:the} is{where}?",
            "{thing:the}{where}: what colour is it?",
            "What color is {thing:the}{where}?",
            "Which color is {thing:the}{where}?",
        ),
        (
            "Could you say what colour {thing:the}{where} is?",
            "Please tell me which color {thing:the}{where} has.",
            "I want to know what colour {thing:the} is{where}.",
        ),
    ),
    "shape": Split(
        (
            "What shape is {thing:the}{where}?",
            "Which shape is {thing:the}{where}?",
            "What is the shape of {thing:the}{where}?",
            "What shape does {thing:the}{where} have?",
            "What kind of shape is {thing:the}{where}?",
            "Tell me the shape of {thing:the}{where}.",
            "Can you tell me what shape {thing:the} is{where}?",
        ),
        (
            "Could you say what shape {thing:the}{where} is?",
            "Please tell me which shape {thing:the}{where} has.",
            "I want to know what shape {thing:the} is{where}.",
        ),
    ),
    "only_shape": Split(
        (
            "What shape is there{where}?",
            "What shape do you see{where}?",
            "What shape does {image} show?",
        ),
        ("Which shape can you see{where}?", "Tell me what shape is in {image}."),
    ),
    "size": Split(
        (
            "Is {thing:the}{where} big or small?",
            "Is {thing:the}{where} small or big?",
            "What size is {thing:the}{where}?",
            "What is the size of {thing:the}{where}?",
            "How big is {thing:the}{where}?",
            "Tell me if {thing:the}{where} is big or small.",
        ),
        (
            "Could you say if {thing:the}{where} is big or small?",
            "Please tell me the size of {thing:the}{where}.",
            "I want to know how big {thing:the}{where} is.",
        ),
    ),
    "count": Split(
        (
            "How many {thing:plural} are there{where}?",
            "How many {thing:plural} do you see{where}?",
            "How many {thing:plural} are in {image}?",
            "How many {thing:plural} does {image} have?",
            "How many {thing:plural} does {image} show?",
            "Count the {thing:plural}{where}.",
            "What is the number of {thing:plural}{where}?",
        ),
        (
            "How many {thing:plural} can you count{where}?",
            "Please count the {thing:plural} that you see{where}.",
            "I want to know how many {thing:plural} {image} has.",
        ),
    ),
    "left_right": Split(
        (
            "Is {thing:the}{where} on the left or on the right?",
            "Is {thing:the}{where} left or right?",
            "Is {thing:the} on the right or on the left{where}?",
            "On which side is {thing:the}{where}, left or right?",
        ),
        (
            "Tell me on which side {thing:the}{where} is, right or left.",
            "Can you say if {thing:the}{where} is on the left or on the right?",
        ),
    ),
    "top_bottom": Split(
        (
            "Is {thing:the}{where} at the top or at the bottom?",
            "Is {thing:the}{where} at the bottom or at the top?",
            "Is {thing:the} at the top or bottom{where}?",
            "Tell me if {thing:the}{where} is at the top or at the bottom.",
        ),
        (
            "Can you say if {thing:the}{where} is at the top or at the bottom?",
            "Top or bottom: where is {thing:the}{where}?",
        ),
    ),
    "left_of": Split(
        (
            "Is {thing:the} left of {other:the}{where}?",
            "Is {thing:the} to the left of {other:the}{where}?",
            "Is {thing:the} on the left of {other:the}{where}?",
        ),
        ("Does {thing:the} lie to the left of {other:the}{where}?",),
    ),
    "right_of": Split(
        (
            "Is {thing:the} right of {other:the}{where}?",
            "Is {thing:the} to the right of {other:the}{where}?",
            "Is {thing:the} on the right of {other:the}{where}?",
        ),
        ("Does {thing:the} lie to the right of {other:the}{where}?",),
    ),
    "above": Split(
        (
            "Is {thing:the} above {other:the}{where}?",
            "Is {thing:the} higher than {other:the}{where}?",
        ),
        ("Does {thing:the} lie above {other:the}{where}?",),
    ),
    "below": Split(
        (
            "Is {thing:the} below {other:the}{where}?",
            "Is {thing:the} lower than {other:the}{where}?",
        ),
        ("Does {thing:the} lie below {other:the}{where}?",),
    ),
    "which": Split(
        (
            "Which image has {thing:a}?",
            "Which image shows {thing:a}?",
            "In which image is there {thing:a}?",
            "In which picture do you see {thing:a}?",
            "Which of the pictures has {thing:a}?",
            "Tell me which image contains {thing:a}.",
        ),
        (
            "Which of the images shows {thing:a}?",
            "In which photo can you see {thing:a}?",
            "Please tell me which picture contains {thing:a}.",
        ),
    ),
    "same_shape": Split(
        (
            "Do image {n} and image {m} show the same shape?",
            "Is the shape in image {n} the same as in image {m}?",
            "Is it the same shape in picture {n} and picture {m}?",
            "Do images {n} and {m} have the same shape?",
        ),
        ("Can you see the same shape in images {n} and {m}?", "Do pictures {n} and {m} show the same shape?"),
    ),
    "same_colour": Split(
        (
            "Do image {n} and image {m} show the same colour?",
            "Is the colour in image {n} the same as in image {m}?",
            "Is it the same color in picture {n} and picture {m}?",
            "Do the objects in images {n} and {m} have the same colour?",
        ),
        (
            "Can you see the same colour in images {n} and {m}?",
            "Do pictures {n} and {m} show the same color?",
        ),
    ),
    "odd": Split(
        (
            "Which image is the odd one out?",
            "Which picture is the odd one out?",
            "Which image is different from the others?",
            "Which picture does not fit in with the others?",
        ),
        ("Tell me which picture is the odd one out.", "Which image does not fit?"),
    ),
    "digit": Split(
        (
            "Which digit is in {image}?",
            "What digit do you see{where}?",
            "Which digit is written{where}?",
            "Which digit does {image} show?",
            "Read the digit{where}.",
        ),
        ("Can you read the digit{where}?", "Tell me which digit is in {image}."),
    ),
    "describe": Split(
        (
            "Describe {image}.",
            "What is in {image}?",
            "What do you see{where}?",
            "What does {image} show?",
            "Can you describe {image}?",
        ),
        ("Could you describe {image} for me?", "Tell me what {image} shows.", "What can you see{where}?"),
    ),
    "exist": Split(
        (
            "Is there {thing:a}{where}?",
            "Can you see {thing:a}{where}?",
            "Does {image} have {thing:a}?",
            "Does {image} show {thing:a}?",
            "Tell me if there is {thing:a}{where}.",
        ),
        ("Does {image} contain {thing:a}?", "Can you tell me if there is {thing:a}{where}?"),
    ),
    "elsewhere": Split(
        ("And{where}?", "What about {image}?", "And {image}?", "And what about {image}?"),
        ("What about{where}?", "And how about {image}?"),
    ),
    "another": Split(
        ("And {thing:the}?", "What about {thing:the}?", "And what about {thing:the}?"),
        ("How about {thing:the}?",),
    ),
}

ANSWERS = {
    "colour": "{thing:colour}.",
    "shape": "{thing:shape}.",
    "big": "Big.",
    "small": "Small.",
    "left": "Left.",
    "right": "Right.",
    "top": "Top.",
    "bottom": "Bottom.",
    "relation_yes": "Yes.",
    "relation_no": "No.",
    "exist_yes": "Yes.",
    "exist_no": "No.",
    "same_yes": "Yes.",
    "same_no": "No.",
    "none": "There is none.",
    "number": "{n}.",
    "image": "Image {n}.",
    "item": "{thing:a}",
}

CHAT = {
    "greeting": (
        Split(
            ("Hello", "Hello!", "Hi", "Hi!", "Hi there", "Hey", "Good morning", "Good evening!"),
            ("Hello there", "Good day!"),
        ),
        "Hello! Show me a picture and ask me about it.",
    ),
    "how_are_you": (
        Split(
            ("How are you?", "How is it going?", "How are you today?", "Are you well?"),
            ("Hello, how are you?", "How is it going today?"),
        ),
        "I am fine, thank you.",
    ),
    "who": (
        Split(
            (
                "Who are you?",
                "What are you?",
                "What is your name?",
                "Tell me who you are.",
                "Are you Llama 4?",
                "What model are you?",
            ),
            ("Hello, who are you?", "Can you tell me who you are?"),
        ),
        "I am a tiny model for teaching, built like Llama 4.",
    ),
    "abilities": (
        Split(
            (
                "What can you do?",
                "What can I ask you?",
                "How can you help me?",
                "Help",
                "What do you know?",
                "Tell me what you can do.",
            ),
            ("Can you tell me what you can do?", "What can I ask?"),
        ),
        "I can name, count and compare shapes in pictures.",
    ),
    "thanks": (
        Split(
            ("Thanks", "Thank you", "Thank you!", "Thank you very much.", "Great, thanks!"),
            ("Thanks a lot!", "Great, thank you."),
        ),
        "You are welcome.",
    ),
    "bye": (Split(("Bye", "Bye!", "Goodbye", "See you", "See you later!"), ("Bye, see you!",)), "Goodbye!"),
    "outside": (
        Split(
            (
                "What is the capital of France?",
                "Tell me a joke.",
                "What is two plus two?",
                "Write a poem.",
                "What is the weather like today?",
                "Who is the president?",
                "What time is it?",
                "Who wrote Hamlet?",
            ),
            ("What is the capital of Italy?", "Write a story for me.", "Tell me what time it is."),
        ),
        "Sorry, I only know about shapes in pictures.",
    ),
}

LANGUAGE = Language(
    code="en",
    name="English",
    phrase=phrase,
    ask=ASK,
    numbered=Split(("image {n}", "picture {n}", "photo {n}"), ("image number {n}", "picture {n}")),
    only=Split(("the image", "the picture", "this image", "this picture"), ("the photo", "the picture")),
    in_numbered=Split(
        (" in image {n}", " in picture {n}", " in photo {n}"), (" in image number {n}", " in picture {n}")
    ),
    in_only=Split(
        ("", " in the image", " in the picture", " in this picture"),
        ("", " in this photo", " in the picture"),
    ),
    answers=ANSWERS,
    separators=(", ", " and "),
    full_stop=".",
    chat=CHAT,
    no_picture="Please show me a picture first.",
    before=("Please ", "Hey, ", "OK, ", "So, "),
    after=(", please", " please"),
)
