"""The oracle for the special tokens is Meta's own list; the rest is small and by hand."""

import base64

import pytest

from model.vocabulary import TokenizerError, from_alphabet, read_tiktoken, special_names, to_alphabet
from tests.reference import metas_tokenizer


def rank_file(folder, lines):
    file = folder / "tokenizer.model"
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def ranks(*tokens: bytes) -> list[str]:
    return [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]


def test_special_tokens_stand_in_metas_order():
    assert special_names(2048) == list(metas_tokenizer().special_tokens)


def test_fewer_special_tokens_are_the_first_ones():
    assert special_names(93)[-1] == "<|patch|>"
    assert len(special_names(93)) == 93


def test_every_byte_has_its_visible_character():
    all_bytes = bytes(range(256))
    assert from_alphabet(to_alphabet(all_bytes)) == all_bytes
    assert to_alphabet(b"a \n") == "a\u0120\u010a"


def test_two_tokens_merge_in_the_order_of_the_results_rank(tmp_path):
    # "ab" comes before "bc", so "abc" is ab + c although a + bc would be there too
    file = rank_file(tmp_path, ranks(b"a", b"b", b"c", b"ab", b"bc"))
    assert read_tiktoken(file).encode("abc", add_special_tokens=False).ids == [3, 2]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["YQ== 0", "no-rank"], "line 2: expected 'base64 rank', got 'no-rank'"),
        (["YQ== one"], "line 1"),
        (["!! 0"], "line 1"),
        (["YQ== 0", "Yg== 2"], "ranks 0, 1, 2"),
        (["YQ== 0", "YQ== 1"], "ranks 0, 1, 2"),
        ([], "ranks 0, 1, 2"),
    ],
)
def test_a_damaged_file_of_ranks_is_named_with_the_line(tmp_path, lines, complaint):
    with pytest.raises(TokenizerError, match=complaint):
        read_tiktoken(rank_file(tmp_path, lines))
