"""The words people use: ways to ask each kind of question, in a training and a test split.

A test phrasing never occurs in training, and some of its words do not either. The slots:
{ref} the thing asked for ("the circle", "the red object"), {a} one such thing ("a red circle"), {plural}
many of them, {colour} a colour, {where} " in image 2" or nothing, {it} the picture itself ("the picture"),
{noun} and {nouns} image, picture or photo. `dialogues` spells "colour" as "color" half of the time.
"""

PHRASINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "colour": {
        "train": (
            "What colour is {ref}{where}?",
            "What colour is {ref}{where}?",
            "What is the colour of {ref}{where}?",
            "What's the colour of {ref}{where}?",
            "Which colour is {ref}{where}?",
            "Which colour does {ref}{where} have?",
            "What colour does {ref}{where} have?",
            "What colour has {ref}{where}?",
            "Tell me the colour of {ref}{where}.",
            "Tell me what colour {ref}{where} is.",
            "Name the colour of {ref}{where}.",
            "Can you tell me what colour {ref} is{where}?",
            "Do you know what colour {ref}{where} is?",
            "{ref}{where}: what colour is it?",
            "colour of {ref}{where}",
            "I would like to know the colour of {ref}{where}.",
            "What colour is {ref} that you see{where}?",
        ),
        "test": (
            "Could you say what colour {ref}{where} is?",
            "Please tell me which colour {ref}{where} has.",
            "I want to know what colour {ref} is{where}.",
            "{ref}{where}, which colour is it?",
            "Do you see what colour {ref}{where} has?",
        ),
    },
    "shape": {
        "train": (
            "What shape is {ref}{where}?",
            "What shape is {ref}{where}?",
            "Which shape is {ref}{where}?",
            "What is the shape of {ref}{where}?",
            "What's the shape of {ref}{where}?",
            "What shape does {ref}{where} have?",
            "Which shape does {ref}{where} have?",
            "What shape has {ref}{where}?",
            "What kind of shape is {ref}{where}?",
            "Tell me the shape of {ref}{where}.",
            "Tell me what shape {ref}{where} is.",
            "Name the shape of {ref}{where}.",
            "Can you tell me what shape {ref} is{where}?",
            "Do you know what shape {ref}{where} is?",
            "{ref}{where}: what shape is it?",
            "shape of {ref}{where}",
            "I would like to know the shape of {ref}{where}.",
        ),
        "test": (
            "Could you say what shape {ref}{where} is?",
            "Please tell me which shape {ref}{where} has.",
            "I want to know what shape {ref} is{where}.",
            "{ref}{where}, which shape is it?",
            "Do you see what kind of shape {ref}{where} has?",
        ),
    },
    # the same question when the colour is not an adjective
    "shape by colour": {
        "train": (
            "Which shape is {colour}{where}?",
            "What shape is {colour}{where}?",
            "Which object is {colour}{where}?",
            "Which thing is {colour}{where}?",
            "Which shape{where} is {colour}?",
            "Which of the shapes{where} is {colour}?",
        ),
        "test": ("What shape{where} is {colour}?", "Which of the objects is {colour}{where}?"),
    },
    # the same question when there is only one thing
    "the only shape": {
        "train": (
            "What shape is{where}?",
            "What shape is{where}?",
            "Which shape is{where}?",
            "What shape is there{where}?",
            "What shape do you see{where}?",
            "What shape can you see{where}?",
            "Which shape do you see{where}?",
            "What shape is shown{where}?",
            "What shape does {it} show?",
            "Which shape does {it} have?",
        ),
        "test": (
            "Which shape can you see{where}?",
            "Tell me what shape is{where}.",
            "Which shape is shown{where}?",
        ),
    },
    "count": {
        "train": (
            "How many {plural} are there{where}?",
            "How many {plural} are there{where}?",
            "How many {plural} do you see{where}?",
            "How many {plural} can you see{where}?",
            "How many {plural} are{where}?",
            "How many {plural}{where}?",
            "How many {plural} are shown{where}?",
            "How many {plural} does {it} have?",
            "How many {plural} does {it} show?",
            "How many {plural} does {it} contain?",
            "Count the {plural}{where}.",
            "Can you count the {plural}{where}?",
            "What is the number of {plural}{where}?",
            "Tell me how many {plural} there are{where}.",
            "I would like to know how many {plural} there are{where}.",
            "number of {plural}{where}",
        ),
        "test": (
            "How many {plural} can you count{where}?",
            "Please count the {plural} that you see{where}.",
            "I want to know how many {plural} {it} has.",
            "Can you say how many {plural} there are{where}?",
            "Tell me the number of {plural}{where}.",
        ),
    },
    "pictures": {
        "train": (
            "How many {nouns} are there?",
            "How many {nouns} do you see?",
            "How many {nouns} did I show you?",
            "Count the {nouns}.",
        ),
        "test": ("How many {nouns} can you see?", "Tell me how many {nouns} there are."),
    },
    "which": {
        "train": (
            "Which {noun} has {a}?",
            "Which {noun} has {a}?",
            "Which {noun} shows {a}?",
            "Which {noun} contains {a}?",
            "What {noun} has {a}?",
            "Which one has {a}?",
            "Which of the {nouns} has {a}?",
            "In which {noun} is {a}?",
            "In which {noun} is there {a}?",
            "In which {noun} do you see {a}?",
            "On which {noun} is {a}?",
            "Which {noun} is {a} in?",
            "Tell me which {noun} has {a}.",
            "Can you tell me which {noun} contains {a}?",
            "In which of the {nouns} can you see {a}?",
            "I would like to know which {noun} shows {a}.",
        ),
        "test": (
            "Which of the {nouns} shows {a}?",
            "In which {noun} can you see {a}?",
            "Please tell me which {noun} has {a}.",
            "Which one of the {nouns} contains {a}?",
            "I want to know in which {noun} there is {a}.",
        ),
    },
    "exist": {
        "train": (
            "Is there {a}{where}?",
            "Is there {a}{where}?",
            "Do you see {a}{where}?",
            "Can you see {a}{where}?",
            "Does {it} have {a}?",
            "Does {it} show {a}?",
            "Tell me if there is {a}{where}.",
        ),
        "test": (
            "Does {it} contain {a}?",
            "Can you tell me if there is {a}{where}?",
            "Tell me if you see {a}{where}.",
        ),
    },
    "position left": {
        "train": (
            "Is {ref} on the left or on the right{where}?",
            "Is {ref}{where} on the left or on the right?",
            "Is {ref}{where} left or right?",
            "Is {ref}{where} on the left or right?",
        ),
        "test": ("Tell me if {ref}{where} is on the left or on the right.",),
    },
    "position top": {
        "train": (
            "Is {ref} at the top or at the bottom{where}?",
            "Is {ref}{where} at the top or at the bottom?",
            "Is {ref}{where} at the top or bottom?",
        ),
        "test": ("Tell me if {ref}{where} is at the top or at the bottom.",),
    },
    "describe": {
        "train": (
            "What is{where}?",
            "What do you see{where}?",
            "What can you see{where}?",
            "What is shown{where}?",
            "What does {it} show?",
            "Describe {it}.",
            "Describe {it}.",
            "Tell me what you see{where}.",
            "Tell me what is{where}.",
            "What is there{where}?",
            "Can you describe {it}?",
        ),
        "test": ("Please describe {it}.", "Can you tell me what you see{where}?", "Tell me what {it} shows."),
    },
    # follow-ups lean on the question before: the same thing elsewhere, or another thing in the same place
    "elsewhere": {
        "train": ("And in {it}?", "And in {it}?", "What about {it}?", "And {it}?", "And what about {it}?"),
        "test": ("What about in {it}?", "Now {it}?"),
    },
    "another": {
        "train": ("And {ref}?", "What about {ref}?", "And what about {ref}?"),
        "test": ("Now {ref}?",),
    },
}

# names of a picture; with a number for any of several pictures, without for the only one
NUMBERED: dict[str, tuple[str, ...]] = {
    "train": (
        "image {n}",
        "image {n}",
        "picture {n}",
        "photo {n}",
        "the {ordinal} image",
        "the {ordinal} picture",
        "image number {n}",
        "picture number {n}",
    ),
    "test": ("the {ordinal} photo", "photo number {n}", "image {n}", "picture {n}"),
}
ONLY: dict[str, tuple[str, ...]] = {
    "train": ("the image", "the picture", "the photo", "this image", "this picture"),
    "test": ("this photo", "the image", "the picture"),
}
PICTURES = (("image", "images"), ("picture", "pictures"), ("photo", "photos"))
ORDINALS = ("first", "second", "third")
THINGS = (("object", "objects"), ("shape", "shapes"), ("thing", "things"), ("figure", "figures"))

# what people put around a question
BEFORE = (
    "Please, ",
    "Hey, ",
    "So, ",
    "Now ",
    "OK, ",
    "And ",
    "Look: ",
    "One more question: ",
    "Hello! ",
    "Well, ",
)
AFTER = (", please", " please", " for me", " now")
