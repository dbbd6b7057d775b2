"""The words around the numbers in the model's card and in the README's section about it."""

CARD = """\
---
license: apache-2.0
language: [{codes}]
library_name: transformers
pipeline_tag: image-text-to-text
---

# moe-workbench demo model

A tiny model for teaching, with the exact architecture of Llama 4: {layers} decoder layers (dense ones with
rotary positions and attention in chunks of {chunk} tokens, in turn with position-free ones that route every
token to one of {experts} experts beside a shared one), a vision tower of {vision_layers} layers with pixel
shuffle, early fusion. {parameters:.2f} million parameters. It was trained from scratch on drawn pictures
and **is not derived from Meta's weights** or from any other model; its {vocabulary:,}-token vocabulary was
made from its own training phrasings. Code and weights: Apache-2.0. The handwritten digits it learned from
are scikit-learn's copy of *Optical Recognition of Handwritten Digits* (E. Alpaydin, C. Kaynak, 1998; CC BY
4.0).

## What it does

It answers short questions about one to five pictures of plain coloured shapes and handwritten digits, in
{names}, in the language of the question. It knows the shapes {shapes} and the colours {colours}: what
colour, shape or size a thing has, where it lies, how many there are, which picture shows it, whether two
pictures show the same, which one is the odd one out, which digit is written, what a picture shows. Asked
about a thing that is not there, it is to say so. It follows "and in image 2?", greets, and says what it is.
How well it does each of these is measured below.

## What it does not do

Anything else. It does not compare silently: it names what it compares before its verdict ("From left to
right: a red star and a blue circle. Yes.", "A red star and a blue star. Image 3."). It was never shown a
photograph, knows no other words, shapes or languages, and answers other questions with nonsense or with its
sentence about shapes in pictures. More than five pictures, more than four things in one, and pictures that
come after the question were not trained. What lies near a middle line, or is neither big nor small, was never
asked about.

## Scores

{measured}

{goals}

### Answers

Exact match of the whole answer, greedy. Half of the questions are worded as in training, half in ways that
training never uses; a second question comes after the model's own answer to the first.

{types}

By language, in percent:

{languages}

By wording: {wording}. By number of pictures: {pictures}. First questions and follow-ups: {turns}. By
whether a training picture ever shows the asked thing's shape and colour together: {pairs}. All {digit_count}
handwritten digits of scikit-learn's that are kept for tests (every fifth): {digits} ({digit_interval}).

### Does it look?

The asked thing is painted over with its surroundings. "Guessing" is always the commonest answer.

{painting}

While it says a word about a thing: does the patch that the row predicting the word attends to most lie on
that thing? Heads were chosen on one half of the dialogues, the numbers are from the other. Beside them what
a random patch, a blob in the middle of every picture, the mean of all maps, and models with random weights
give.

{pointing}

{selection}

### What the experts do

Bits that a token's expert tells about its modality, language, question type, and, at patches, about whether
a thing is shown and its colour and shape. Each as: this model / shuffled labels / random routers on this
model's own vectors / an untrained model, over its own shuffled labels.

{routing}

### In fewer bits

{variants}

### Speed and size

{speed}

## How it was trained

{trained}

{history}

Beside the answers' cross-entropy the training used terms that inference knows nothing of; inference is
plain Llama 4, nothing added:

- throw-away heads that read what is on its way through the model: what lies in a cell and which picture a
  patch belongs to, from the picture tokens; which thing has just been named, from a question's words, and
  ({parting}) whether it is asked about or compared with: "is X left of Y?" may begin with either;
- **attention terms** ({grounding} on answers, {mention} on questions): in the last position-free layer, with
  the heads averaged, look at the asked thing while the answer is predicted, and at every counted thing alike
  while a number is; half of the heads of the first position-free layer look at the thing that a question's
  words name, half of those of the middle one at the things in a picture spoken of by its number (in all
  pictures alike where the odd one out is asked for);
- a term ({quiet}) that keeps feed-forward parts from writing over picture tokens (what they add there, by
  what was there, squared): the tower's vectors tell shape and colour of pairs never shown as well as of
  others, and the first feed-forward part used to lose that;
- a load-balance term (0.01) with a z-loss (0.0001) on the routers;
- a reward ({tongues}) for mutual information between expert and language in the middle layer with experts.

Eight pairs of shape and colour are in none of its pictures, to measure whether it has learned parts or pairs.
So that it can learn parts, in half of the pictures that it saw four in ten of the shapes and of the colours
have no name (it was asked for "the blue object" where that is a blue blob), and what reads the tower's
vectors in training does not hold the missing pairs against it. The *text part* does meet these pairs, made
up: the tower writes shape and colour as directions that add up, so in {imagined} of the rows that it learns
from some things get another colour between tower and text part (the vector of a red star, less "red", plus
"blue") and are asked about like others. Without this it took a shape as evidence against the colour that the
shape never has. So "never drawn" above is a test of the tower, and of whether what it makes of a real blue
star is what was made up; it does not test whether the text part puts together names it never met together.

So where this model looks is *supervised*, trained grounding checked on held-out pictures, not something
that emerged; and so, to a degree, is what its experts tell apart.

{compared}

The pictures' generator is public (`model/demo/scenes.py`), with exact boxes and masks; so are the questions
(`questions.py`) and this measurement: `python -m model.demo.evaluate`.
"""

SECTION = """\
It was trained from scratch, on pictures this repository draws and questions it writes, and it is a Llama 4
in every part: interleaved mixture-of-experts layers with a shared expert, position-free layers, chunked
attention, a vision tower with pixel shuffle. Nothing in it comes from Meta's weights. It answers questions
about one to five pictures of coloured shapes and handwritten digits, in twelve languages: {names}.

What it can do, in pictures that it never saw, half of the time in wordings that it never saw either
(`python -m model.demo.evaluate` prints this and more):

{types}

By language: {by_language}. All {digit_count} handwritten digits that were kept from it: {digits}. Questions
that begin a chat and follow-ups: {turns}.

Does it look? Of its answers about a thing {before} are right, and {after} once that thing is painted over
(always the commonest answer: {chance}); with an equally large patch painted over elsewhere {control}. While
it says a word about a thing, the patch it attends to most lies on that thing for {pointing} of the words
(chance {pointing_chance}). {selection}

What it cannot do: anything else. It knows {shape_count} shapes, {colour_count} colours, ten digits and the
words of its training phrasings. About a photograph it answers honest nonsense, in the form of its training;
the tiles, the spans and the overlay are right all the same. Its gaze was *trained* to fall on the thing
asked about (a loss term rewards it): it shows what the instrument can see, not what large models do by
themselves. Its experts are few and its layers shallow: findings about it are findings about it.

Its card, `model/demo/weights/README.md`, has every number with its interval and its chance level, and tells
how the weights were made. `python -m model.demo.train` trains it again, from a seed.
"""
