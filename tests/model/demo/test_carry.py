"""A model of another vocabulary goes on with what it knows of each token's bytes."""

import dataclasses

import pytest
import torch
from tokenizers import models, pre_tokenizers, trainers

from model.checkpoint import save
from model.demo.carry import begin_from, known_pieces
from model.demo.shape import IMAGES, SPECIALS, build_config
from model.llama4 import Llama4
from model.processor import Processor
from model.tokenizer import Tokenizer
from model.vocabulary import byte_level


def learned_from(*texts: str) -> Tokenizer:
    backend = byte_level(models.BPE(), SPECIALS[:1])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(texts, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    return Tokenizer(byte_level(backend.model, SPECIALS))


@pytest.fixture(scope="module")
def tokenizers():
    return learned_from("red red star sta"), learned_from("redstar redstar")


def test_a_token_is_the_longest_known_tokens_that_its_bytes_consist_of(tokenizers):
    former, tokenizer = tokenizers
    assert former.vocab_size == tokenizer.vocab_size  # the size alone does not tell
    pieces = known_pieces(former, tokenizer)
    assert len(pieces) == tokenizer.vocab_size
    for id, some in enumerate(pieces):
        assert b"".join(map(former.token_bytes, some.tolist())) == tokenizer.token_bytes(id)
    (whole,) = tokenizer.encode("redstar")
    assert len(pieces[whole]) > 1 and pieces[tokenizer.bos_id].tolist() == [former.bos_id]


def test_what_both_know_stays_and_what_is_new_begins_as_a_mean(tokenizers, tmp_path):
    former, tokenizer = tokenizers
    torch.manual_seed(0)
    models = []
    for some in tokenizers:
        config = build_config(some)
        text = dataclasses.replace(
            config.text, num_hidden_layers=2, moe_layers=(1,), rope_layers=(True, False)
        )
        models.append(Llama4(dataclasses.replace(config, text=text)))
    before, after = models
    save(before, Processor(former, before.config, IMAGES), tmp_path)
    begin_from(after, tokenizer, tmp_path)
    known, now = before.state_dict(), after.state_dict()
    tables = {"embed.weight", "unembed.weight"}
    assert all(torch.equal(now[name], known[name].to(now[name])) for name in now.keys() - tables)
    for name in tables:
        for id, some in enumerate(known_pieces(former, tokenizer)):
            assert torch.allclose(now[name][id], known[name][some].mean(0), atol=1e-6)
