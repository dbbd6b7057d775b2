"""The committed weights answer held-out questions, and transformers agrees with them."""

import hashlib
import json

import pytest
import torch
from PIL import Image, ImageDraw
from transformers import AutoTokenizer, Llama4ForConditionalGeneration, Llama4Processor

from model import SamplingParams, generate, load
from model.demo.asking import ask_model
from model.demo.card import BEGIN, END, README, write_card, write_section
from model.demo.languages import CODES
from model.demo.questions import KINDS
from model.demo.samples import digit_samples, draw_samples
from model.demo.scenes import draw_scene
from model.demo.shape import build_config, build_tokenizer
from model.demo.train import WEIGHTS
from tests.reference import image_processing

MOST_BYTES = 16 * 2**20


@pytest.fixture(scope="module")
def ours():
    return load("demo", dtype=torch.float32)


@pytest.fixture(scope="module")
def theirs():
    return Llama4ForConditionalGeneration.from_pretrained(WEIGHTS, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def messages():
    scenes = [draw_scene(1, (64, 70)), draw_scene(2, (320, 240)), draw_scene(3, (150, 90))]
    content = [{"type": "image", "image": scene.image} for scene in scenes]
    content.append({"type": "text", "text": "How many objects are there in image 2?"})
    return [{"role": "user", "content": content}]


def their_processor():
    images = image_processing().Llama4ImageProcessor.from_pretrained(WEIGHTS)
    settings, _ = Llama4Processor.get_processor_dict(WEIGHTS)
    template = (WEIGHTS / "chat_template.jinja").read_text()
    numbers = {key: settings[key] for key in ("patch_size", "pixel_shuffle_ratio")}
    return Llama4Processor(images, AutoTokenizer.from_pretrained(WEIGHTS), chat_template=template, **numbers)


def say(ours, pictures, question):
    llama, processor = ours
    content = [{"type": "image", "image": picture} for picture in pictures] + [
        {"type": "text", "text": question}
    ]
    steps = generate(
        llama, processor, processor([{"role": "user", "content": content}]), SamplingParams(max_tokens=40)
    )
    return "".join(step.text for step in steps)


def test_the_folder_is_small_and_complete():
    names = {file.name for file in WEIGHTS.iterdir()}
    assert names >= {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
    }
    assert names >= {"processor_config.json", "chat_template.jinja", "training.json", "evaluation.json"}
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= MOST_BYTES


def test_it_has_every_part_of_the_architecture(ours):
    config = ours[0].config
    text = config.text
    assert text.num_local_experts >= 8 and text.moe_layers == tuple(range(1, text.num_hidden_layers, 2))
    assert not all(text.rope_layers) and text.attention_chunk_size < 1000 and text.use_qk_norm
    assert config.vision.tokens_per_tile == 25


def test_the_config_is_the_one_that_training_would_build_for_this_vocabulary(ours):
    assert build_config(ours[1].tokenizer).text == ours[0].config.text
    # learned from the phrasings that there were when its training began
    assert ours[1].tokenizer.vocab_size == build_tokenizer().vocab_size


def test_transformers_computes_the_same_logits_from_the_same_folder(ours, theirs, messages):
    llama, processor = ours
    inputs = processor(messages)
    assert len(inputs.token_ids) > llama.config.text.attention_chunk_size
    with torch.no_grad():
        mine = llama(inputs.token_ids[None], pixel_values=inputs.pixel_values)
        reference = theirs(input_ids=inputs.token_ids[None], pixel_values=inputs.pixel_values.float()).logits
    assert (mine - reference).abs().max() <= 1e-4


def test_transformers_reads_the_same_prompt_and_gives_the_same_greedy_answer(ours, theirs, messages):
    llama, processor = ours
    inputs = processor(messages)
    batch = their_processor().apply_chat_template(
        messages, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    assert batch["input_ids"][0].tolist() == inputs.token_ids.tolist()
    assert torch.equal(batch["pixel_values"].bfloat16(), inputs.pixel_values)
    steps = [step.token_id for step in generate(llama, processor, inputs, SamplingParams(max_tokens=20))]
    made = theirs.generate(
        input_ids=inputs.token_ids[None],
        pixel_values=inputs.pixel_values.float(),
        attention_mask=torch.ones_like(inputs.token_ids[None]),
        do_sample=False,
        max_new_tokens=20,
    )
    assert made[0, len(inputs.token_ids) :].tolist() == steps


def test_transformers_tokenizes_the_same(ours):
    theirs = AutoTokenizer.from_pretrained(WEIGHTS)
    for text in (
        "What colour is the circle in image 2?",
        "Grüße, 123 नमस्ते!\n\nred",
        "ما لون الدائرة في الصورة 2؟",
        "วงกลมในรูปที่ 2 สีอะไร",
    ):
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours[1].tokenizer.encode(text)


def report():
    return json.loads((WEIGHTS / "evaluation.json").read_text())


def test_the_committed_report_is_about_these_weights_and_is_a_whole_one():
    digest = hashlib.sha256((WEIGHTS / "model.safetensors").read_bytes()).hexdigest()
    accuracy = report()["accuracy"]
    assert report()["weights"] == digest and report()["questions"] >= 2000
    assert set(accuracy["by_type"]) == set(KINDS) and set(accuracy["by_language"]) == set(CODES)
    assert report()["digits"]["count"] == 360 and set(report()["variants"]) == {"fp8", "int4"}


@pytest.mark.slow
def test_other_questions_are_answered_as_well_as_the_report_says(ours):
    outcomes = [o for held in ask_model(*ours, list(draw_samples(1, 2))) for o in held]
    assert len(outcomes) > 160
    right = sum(outcome.right for outcome in outcomes) / len(outcomes)
    # four standard errors of a share of some 170
    assert abs(right - report()["accuracy"]["overall"]) <= 0.15, f"{right:.1%}"


@pytest.mark.slow
def test_handwriting_is_read_as_well_as_the_report_says(ours):
    outcomes = [held[0] for held in ask_model(*ours, list(digit_samples(4, 60)))]
    right = sum(outcome.right for outcome in outcomes) / len(outcomes)
    assert right >= report()["digits"]["accuracy"] - 0.15, f"{right:.1%}"


@pytest.mark.parametrize(
    "size", [(100, 100), (224, 224), (320, 240), (640, 480)], ids=lambda size: f"{size[0]}"
)
def test_pictures_drawn_by_hand_are_understood(ours, size):
    width, height = size
    side = min(size) // 4
    pictures = [Image.new("RGB", size, "white") for _ in range(2)]
    box = (width // 2 - side, height // 2 - side, width // 2 + side, height // 2 + side)
    ImageDraw.Draw(pictures[0]).ellipse(box, fill="red")
    ImageDraw.Draw(pictures[1]).rectangle(box, fill="blue")
    assert say(ours, pictures, "What colour is the circle in image 1?") == "Red."
    assert say(ours, pictures, "Welche Farbe hat der Kreis in Bild 1?") == "Rot."
    assert say(ours, pictures, "What shape is in image 2?") == "Square."
    assert say(ours, pictures, "Which image has a blue square?") == "Image 2."
    assert say(ours, pictures[:1], "How many circles are there?") == "1."


def test_it_chats_a_little(ours):
    assert say(ours, [], "Hello").startswith("Hello!")
    assert say(ours, [], "Hallo").startswith("Hallo!")
    assert "model for teaching" in say(ours, [], "Who are you?")


def test_the_card_and_the_readme_are_those_that_the_numbers_make():
    assert (WEIGHTS / "README.md").read_text() == write_card(WEIGHTS)
    between = README.read_text().split(BEGIN)[1].split(END)[0]
    assert between.strip() == write_section(WEIGHTS)
