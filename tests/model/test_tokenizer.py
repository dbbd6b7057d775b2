"""The oracle is Meta's own Tokenizer with the published vocabulary, both from the llama-models package."""

import json
import random
import time

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models

from model.tokenizer import Tokenizer
from model.vocabulary import BOS, EOT, PAD, TokenizerError, byte_level, special_names
from tests.reference import VOCABULARY, metas_ids, metas_tokenizer, real_tokenizer
from tests.tiny import byte_tokenizer

GOLDEN = {
    "كيف حالك؟": [156098, 25170, 2695, 18520],
    "How's it going?": [3612, 948, 536, 5034, 43],
    "J'ai mangé.": [54, 28148, 14357, 397, 26],
    "Straße: 3,14 m²": [94553, 15746, 38, 220, 31, 24, 981, 287, 6111],
    "आप कैसे हैं?": [112485, 69986, 8522, 43],
    "Selamat pagi!": [22599, 17567, 125290, 13],
    "Com'è andata?": [1159, 65735, 198814, 43],
    "A ação começou.": [45, 41019, 82713, 26],
    "¿Cómo estás?": [49195, 82835, 43],
    "Kumusta ka?": [55, 369, 28324, 5233, 43],
    "สวัสดีครับ": [2585, 39174, 2585, 26361, 101301],
    "Xin chào bạn": [158616, 124927, 8880],
}
SCRIPTS = [
    (0x20, 0x7F), (0x00, 0x20), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x590), (0x590, 0x780),
    (0x900, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2070), (0x3040, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xFE00, 0xFE10), (0x1F300, 0x1FB00), (0x10000, 0x10FFFF),
]  # fmt: skip
SNIPPETS = [
    " ",
    "\n",
    "  ",
    "\r\n",
    "\u3000",
    "'s",
    "'LL",
    "'\u017f",
    "123",
    "\u200d",
    "<|eot|>",
    "/\n",
    "\u01c5",
]


def mixed_text(draw: random.Random) -> str:
    def one() -> str:
        return chr(draw.randrange(*draw.choice(SCRIPTS))) if draw.random() < 0.8 else draw.choice(SNIPPETS)

    return "".join(one() for _ in range(draw.randrange(60)))


def test_a_golden_sample_of_each_language_has_its_ids():
    for text, ids in GOLDEN.items():
        assert real_tokenizer().encode(text) == ids
        assert real_tokenizer().decode(ids) == text


def test_fifteen_hundred_mixed_texts_have_metas_ids_and_come_back():
    draw = random.Random(0)
    for _ in range(1500):
        text = mixed_text(draw)
        ids = real_tokenizer().encode(text)
        assert ids == metas_ids(text), repr(text)
        assert real_tokenizer().decode(ids) == text


@pytest.mark.parametrize(
    "text",
    [
        "a" * 25_001,
        " " * 60_000,
        "\n" * 60_001 + "x",
        "x" * 25_001 + " " * 25_001 + "y",
        "é" * 400_003,
        "a b" * 200_000,
        "a" * 399_999 + " " * 3,
    ],
    ids=["letters", "spaces", "newlines", "both", "one-long-word", "many-words", "at-a-border"],
)
def test_very_long_runs_are_cut_where_meta_cuts_them(text):
    assert real_tokenizer().encode(text) == metas_ids(text)


def test_long_words_take_no_longer_than_short_ones():
    def seconds(text: str) -> float:
        start = time.thread_time()
        byte_tokenizer().encode(text)
        return time.thread_time() - start

    # as often as there are characters, or as often as there are pairs of them
    assert seconds(("a" * 24_999 + " ") * 4) < 20 * seconds(("a" * 24 + " ") * 4_000)


def test_half_a_surrogate_pair_is_a_replacement_character():
    assert real_tokenizer().encode("a\ud83d") == metas_ids("a\ud83d") == real_tokenizer().encode("a\ufffd")


def test_special_ids_and_stop_ids_are_metas():
    ours, metas = real_tokenizer(), metas_tokenizer()
    assert {name: ours.special_id(name) for name in metas.special_tokens} == metas.special_tokens
    assert ours.vocab_size == metas.n_words == 202_048
    assert (ours.bos_id, ours.pad_id) == (metas.bos_id, metas.pad_id)
    assert list(ours.stop_ids) == metas.stop_tokens


def test_no_special_token_can_be_typed():
    for name in special_names(2048):
        assert max(real_tokenizer().encode(f"a{name}b")) < 200_000, name


def with_plain_added_token() -> tokenizers.Tokenizer:
    backend = byte_level(
        models.BPE({chr(97 + i): i for i in range(26)} | {"<": 26, "|": 27, ">": 28}, []), [BOS]
    )
    backend.add_tokens([AddedToken(EOT, special=False, normalized=False)])
    return backend


def test_an_added_token_that_is_not_marked_special_cannot_be_typed_either(tmp_path):
    with_plain_added_token().save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.special_id(EOT) == 30
    assert tokenizer.encode("a<|eot|>a") == [0, 26, 27, 4, 14, 19, 27, 28, 0]


def test_ours_and_transformers_read_the_saved_tokenizer_with_the_same_ids(tmp_path):
    from transformers import AutoTokenizer

    real_tokenizer().save(tmp_path)
    ours, theirs = Tokenizer.from_folder(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    draw = random.Random(1)
    for text in [mixed_text(draw).replace("<|eot|>", "") for _ in range(100)] + list(GOLDEN):
        ids = real_tokenizer().encode(text)
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False) == ids
    for text in ("<|eot|>", "a" * 30_000):
        assert ours.encode(text) == real_tokenizer().encode(text)
    assert ours.special_id("<|patch|>") == 200_092
    assert theirs.encode("Hi")[0] == theirs.bos_token_id == real_tokenizer().bos_id
    assert (theirs.pad_token_id, theirs.eos_token_id) == (200_018, 200_008)
    assert len(theirs) == ours.vocab_size == real_tokenizer().vocab_size


@given(st.lists(st.integers(0, 202_047), max_size=30))
def test_a_stream_is_the_text_decoded_at_once_and_metas(ids):
    decoder = real_tokenizer().stream_decoder()
    streamed = "".join([decoder.push(id) for id in ids]) + decoder.flush()
    assert streamed == real_tokenizer().decode(ids) == metas_tokenizer().decode(ids)


@given(st.text(max_size=30))
def test_every_moment_of_a_stream_shows_a_beginning_of_the_text(text):
    text = text.replace("\ufffd", "")
    decoder = byte_tokenizer().stream_decoder()
    shown = ""
    for id in byte_tokenizer().encode(text):
        shown += decoder.push(id)
        assert text.startswith(shown)
    assert shown + decoder.flush() == text


def test_a_stream_that_ends_inside_a_character_says_so_once_and_starts_anew():
    decoder = byte_tokenizer().stream_decoder()
    euro = byte_tokenizer().encode("€")
    assert [decoder.push(id) for id in euro[:2]] == ["", ""]
    assert decoder.flush() == "\ufffd"
    assert decoder.flush() == ""
    assert "".join(decoder.push(id) for id in euro) == "€"


def test_special_tokens_are_decoded_by_name_or_left_out():
    ids = [200_000, *real_tokenizer().encode("Hi"), 200_008]
    assert real_tokenizer().decode(ids) == "<|begin_of_text|>Hi<|eot|>"
    assert real_tokenizer().decode(ids, skip_special=True) == "Hi"


def test_a_token_is_shown_by_its_text_its_name_or_its_bytes():
    first, *_, last = real_tokenizer().encode("🧑‍🚀")
    assert real_tokenizer().token_text(first) == "<0xF0><0x9F><0xA7>"
    assert real_tokenizer().token_text(last) == "<0x80>"
    assert real_tokenizer().token_text(real_tokenizer().encode(" आप")[0]) == " आप"
    assert real_tokenizer().token_text(200_008) == "<|eot|>"


def test_an_id_that_the_vocabulary_leaves_unused_is_shown_and_decodes_to_nothing():
    # a model's last layer may be wider than the vocabulary
    assert real_tokenizer().token_text(210_000) == "<unused 210000>"
    assert real_tokenizer().decode([210_000]) == ""
    with pytest.raises(TokenizerError, match="-1"):
        real_tokenizer().decode([-1])


def test_an_unknown_special_token_is_refused_with_the_nearest_names():
    assert not real_tokenizer().has_special("<|eod|>")
    with pytest.raises(TokenizerError, match=r"'<\|eod\|>'; nearest: .*<\|eo"):
        real_tokenizer().special_id("<|eod|>")


def test_stop_ids_are_those_that_the_vocabulary_has():
    tokenizer = Tokenizer(byte_level(models.BPE({"a": 0}, []), [BOS, EOT]))
    assert tokenizer.stop_ids == (2,)


def test_the_size_of_a_vocabulary_with_gaps_is_that_of_its_largest_id():
    assert Tokenizer(byte_level(models.BPE({"a": 40}, []), [BOS])).vocab_size == 41


def test_a_folder_with_both_files_is_read_from_tokenizer_json(tmp_path):
    byte_tokenizer().save(tmp_path)
    (tmp_path / "tokenizer.model").write_text("damaged")
    assert Tokenizer.from_folder(tmp_path).vocab_size == byte_tokenizer().vocab_size


def test_a_folder_with_metas_file_alone_is_converted():
    # it is the folder of the tokenizer that all these tests ask
    assert VOCABULARY.is_file() and not (VOCABULARY.parent / "tokenizer.json").exists()
    assert real_tokenizer().encode("How's it going?") == GOLDEN["How's it going?"]


def test_a_folder_without_a_tokenizer_says_what_was_looked_for(tmp_path):
    with pytest.raises(TokenizerError, match=r"looked for tokenizer\.json and tokenizer\.model"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not a tokenizer"),
        ("[]", "not a tokenizer"),
        ("{}", "no model"),
        ('{"model": {"type": "Unigram"}}', "Unigram"),
        ('{"model": null}', "no model"),
        ("\xff", "not a tokenizer"),
        ("[" * 100_000, "not a tokenizer"),
        ('{"model": {"type": "BPE"}}', "no vocab or no merges"),
    ],
)
def test_a_damaged_or_foreign_tokenizer_json_is_refused_by_name(tmp_path, text, complaint):
    (tmp_path / "tokenizer.json").write_text(text, encoding="latin-1")
    with pytest.raises(TokenizerError, match=complaint):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ({"vocab": []}, "no vocab or no merges"),
        ({"merges": None}, "no vocab or no merges"),
        ({"vocab": {"a": -1}}, "the token 'a' has the id -1"),
        ({"vocab": {"a": "0"}}, "the token 'a' has the id '0'"),
        ({"merges": ["a b", "a c"]}, "merge 1 is 'a c'; expected two tokens"),
        ({"merges": [["b", "a"]]}, r"merge 0 is \['b', 'a'\]"),
        ({"merges": ["ab"]}, "merge 0 is 'ab'"),
        ({"merges": [7]}, "merge 0 is 7"),
        ({"merges": [[[], "a"]]}, "merge 0 is"),
    ],
)
def test_a_damaged_vocabulary_or_merge_is_named(tmp_path, part, complaint):
    backend = byte_level(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]), [BOS])
    file = tmp_path / "tokenizer.json"
    backend.save(str(file))
    written = json.loads(file.read_text())
    assert Tokenizer.from_folder(tmp_path).encode("ab") == [2]
    written["model"] |= part
    file.write_text(json.dumps(written))
    with pytest.raises(TokenizerError, match=complaint):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("part", ["added_tokens", "normalizer", "pre_tokenizer", "decoder", "truncation"])
@pytest.mark.parametrize("damage", [7, [7], {"type": "?"}, "text"])
def test_damage_in_any_other_part_is_refused_by_the_files_name(tmp_path, part, damage):
    backend = byte_level(models.BPE({"a": 0}, []), [BOS])
    file = tmp_path / "tokenizer.json"
    backend.save(str(file))
    file.write_text(json.dumps(json.loads(file.read_text()) | {part: damage}))
    with pytest.raises(TokenizerError, match=r"tokenizer\.json is damaged: .*; fetch it again"):
        Tokenizer.from_folder(tmp_path)


def test_a_tokenizer_that_is_not_byte_level_is_refused():
    backend = tokenizers.Tokenizer(models.BPE({"a": 0}, []))
    backend.decoder = decoders.Metaspace()
    with pytest.raises(TokenizerError, match=r"byte-level BPE as Llama 4 has, got .* Metaspace"):
        Tokenizer(backend)


def test_a_vocabulary_without_padding_is_not_saved_for_others(tmp_path):
    tokenizer = Tokenizer(byte_level(models.BPE({"a": 0}, []), [BOS, EOT]))
    with pytest.raises(TokenizerError, match=PAD.replace("|", r"\|")):
        tokenizer.save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_its_repr_is_short():
    assert repr(real_tokenizer()) == "Tokenizer(202,048 tokens, 2,048 of them special)"
