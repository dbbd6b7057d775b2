"""The demo model's vocabulary and shape: small, the same every time, at home in twelve scripts."""

import pytest

from model.demo.corpus import texts
from model.demo.languages import CODES, language
from model.demo.shape import LARGEST_VOCABULARY, build_config, build_tokenizer
from model.llama4 import Llama4


def test_the_tokenizer_is_the_same_every_time(processor):
    again = build_tokenizer()
    assert again.vocab_size == processor.tokenizer.vocab_size <= LARGEST_VOCABULARY
    for text in ("What colour is the star in image 2?", "सितारे का रंग क्या है?", "Grüße, 123!"):
        assert again.encode(text) == processor.tokenizer.encode(text)


def test_it_is_made_from_training_phrasings_alone():
    seen = set(texts())
    assert len(seen) > 5000 and list(texts()) == list(texts())
    for code in CODES:
        # whole texts of the tests; a template's piece may be said in training, too
        for ways, _ in language(code).chat.values():
            assert not set(ways.test) & seen


@pytest.mark.parametrize("code", CODES)
def test_every_language_is_read_and_written_without_loss_and_in_few_tokens(code, processor):
    tongue, tokenizer = language(code), processor.tokenizer
    star = tongue.named("star", "red", None)
    said = [answer for _, answer in tongue.chat.values()] + [tongue.answers["none"]]
    said += [template.format(thing=star) for template in tongue.ask["which"].test]
    for text in said:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert len(ids) <= 1.2 * len(text.encode()) / 3 + 6, (text, len(ids))
    assert len(tokenizer.encode(tongue.answers["number"].format(n=3))) <= 3


def test_control_tokens_are_llama_4s_and_are_not_reached_by_text(processor):
    tokenizer = processor.tokenizer
    assert tokenizer.bos_id == tokenizer.special_id("<|begin_of_text|>")
    assert tokenizer.special_id("<|eot|>") in tokenizer.stop_ids
    assert tokenizer.special_id("<|eot|>") not in tokenizer.encode("<|eot|>")


def test_it_has_every_part_of_the_architecture_and_few_parameters(processor):
    config = build_config(processor.tokenizer)
    assert config == processor.config
    text = config.text
    assert text.moe_layers == (1, 3, 5) and text.num_local_experts == 16
    assert text.rope_layers == (True, False, True, False, True, False)
    assert text.attention_chunk_size < 1000 and text.use_qk_norm and config.vision.tokens_per_tile == 25
    # in bfloat16, with a tokenizer beside them, within 16 MiB
    assert 2 * sum(p.numel() for p in Llama4(config).parameters()) < 15 * 2**20
