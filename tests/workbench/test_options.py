"""What is captured is what was asked for: layers, heads, rows and type; its size is known before it runs."""

import numpy as np
import pytest
import torch
from PIL import Image

import workbench as wb
from model import recorded
from tests.speech import saying, spoken
from tests.tiny import load_reference
from workbench.integrity import check
from workbench.options import NAMES, options_of
from workbench.trace import LAYOUT

NEW = 12


@pytest.fixture(scope="module")
def session(checkpoint):
    return wb.load(checkpoint, dtype=torch.float32)


def messages() -> list[dict]:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 70, 3), np.uint8)
    shown = [{"type": "image", "image": Image.fromarray(pixels)}, {"type": "text", "text": "What?"}]
    return [{"role": "user", "content": shown}]


@pytest.fixture(scope="module")
def whole(session) -> wb.Trace:
    """Every row of prompt and answer, in float32."""
    options = wb.CaptureOptions(attention_layers="all", rows="all", attention_dtype="float32")
    return session.trace(messages(), capture=options, max_tokens=NEW)


# rows are those of the full pattern


def test_rows_in_float32_equal_the_full_pattern_of_the_same_pass(session):
    inputs = session.processor(messages())
    last = len(inputs.token_ids) - 1
    _, cache = session.run_with_cache(inputs, lambda name: name.endswith("attn.hook_pattern"))
    full = np.stack([cache["pattern", layer][0].numpy() for layer in range(8)])  # [layers, heads, T, T]
    for rows in ("last", "prompt", [0, 7, 8, 30], range(last - 3, last)):
        options = wb.CaptureOptions(attention_layers="all", rows=rows, attention_dtype="float32")
        trace = session.run_with_cache(inputs, "hook_embed", capture=options)[1].trace
        assert trace.attention.dtype == np.float32
        assert np.abs(trace.attention - full[:, :, trace.query_index].transpose(2, 0, 1, 3)).max() <= 1e-6


def test_rows_of_an_answer_equal_the_full_pattern_of_one_pass_over_it(session, whole):
    inputs = session.processor(messages())
    points = [session.llama.hook_point(f"blocks.{layer}.attn.hook_pattern") for layer in range(8)]
    with recorded(points) as kept, torch.no_grad():
        session.llama(torch.from_numpy(whole.token_ids)[None].long(), pixel_values=inputs.pixel_values)
    full = np.stack([kept[point.name][0].numpy() for point in points])
    assert whole.query_index.tolist() == list(range(len(whole) - 1))
    far = np.abs(whole.attention - full.transpose(2, 0, 1, 3)[:-1]).max((0, 2, 3))
    # what enters a layer was rounded otherwise by the layers before it, a token at a time and all at once
    assert far[0] <= 1e-6 and far.max() <= 5e-6


def test_rows_in_float32_equal_the_eager_attention_of_transformers(checkpoint, session, whole):
    theirs = load_reference(checkpoint)
    theirs.set_attn_implementation("eager")
    inputs = session.processor(messages())
    full = theirs(
        input_ids=torch.from_numpy(whole.token_ids)[None].long(),
        pixel_values=inputs.pixel_values.float(),
        output_attentions=True,
    ).attentions
    rows = [whole.attention[:, n] - full[n][0].numpy().transpose(1, 0, 2)[:-1] for n in range(8)]
    far = np.abs(np.stack(rows)).max((1, 2, 3))
    assert far[0] <= 1e-6 and far.max() <= 5e-6


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("generated", lambda prompt, end: list(range(prompt - 1, end))),
        ("last", lambda prompt, end: [prompt - 1]),
        ("prompt", lambda prompt, end: list(range(prompt))),
        ((3, 9, 10), lambda prompt, end: [3, 9, 10]),
        (range(5, 8), lambda prompt, end: [5, 6, 7]),
    ],
    ids=["generated", "last", "prompt", "some", "a range"],
)
def test_chosen_rows_layers_and_heads_are_a_part_of_the_whole(session, whole, rows, expected):
    options = wb.CaptureOptions(
        attention_layers=[1, 3, 6], attention_heads=[0, 5], rows=rows, attention_dtype="float32"
    )
    trace = session.trace(messages(), capture=options, max_tokens=NEW)
    prompt = int(trace.generated_index[0])
    assert trace.query_index.tolist() == expected(prompt, len(trace) - 1)
    assert trace.attention_layers.tolist() == [1, 3, 6] and trace.attention_heads.tolist() == [0, 5]
    part = whole.attention[trace.query_index][:, [1, 3, 6]][:, :, [0, 5]]
    assert trace.attention.shape == part.shape and np.abs(trace.attention - part).max() <= 1e-6
    assert np.array_equal(trace.token_ids, whole.token_ids), "looking elsewhere changed nothing"
    assert (report := check(trace, session.llama.config.text)), report


def test_rows_across_prompt_and_answer_and_rows_of_the_answer_alone(session, whole):
    prompt = int(whole.generated_index[0])
    for rows in (range(prompt - 3, prompt + 4), [2, prompt + 5], [prompt + 1, prompt + 3]):
        options = wb.CaptureOptions(rows=rows, attention_dtype="float32")
        trace = session.trace(messages(), capture=options, max_tokens=NEW)
        assert trace.query_index.tolist() == list(rows)
        assert np.abs(trace.attention - whole.attention[trace.query_index]).max() <= 1e-6


def test_a_row_that_the_answer_does_not_reach_is_absent(session):
    prompt = len(session.processor("Hi").token_ids)
    options = wb.CaptureOptions(rows=range(prompt - 1, prompt + 5))
    with saying(session.llama, spoken("ab", "<|eot|>")):
        trace = session.trace("Hi", capture=options, max_tokens=10)
    assert trace.query_index.tolist() == [prompt - 1, prompt, prompt + 1]


def test_rows_of_a_growing_answer_are_those_so_far(session):
    options = wb.CaptureOptions(rows="all")
    for token in session.stream("Hi", max_tokens=5, capture=options):
        trace = token.trace
        assert trace.query_index.tolist() == list(range(len(trace) - 1))
        assert trace.check()


def test_rows_made_while_an_answer_grows_are_those_made_at_its_end(session, whole):
    options = wb.CaptureOptions(rows="all", attention_dtype="float32")
    for token in session.stream(messages(), max_tokens=NEW, capture=options):
        grown = token.trace
    assert np.array_equal(grown.query_index, whole.query_index)
    assert np.abs(grown.attention - whole.attention).max() <= 1e-6
    early = token.run.trace(2)
    assert early.query_index.tolist() == list(range(len(early) - 1)), "what came later is left out again"
    assert np.array_equal(early.attention, grown.attention[: len(early) - 1, ..., : len(early)])


def test_somebody_who_watches_or_edits_all_rows_does_not_shift_ours(session, whole):
    point = session.llama.hook_point("blocks.3.attn.hook_pattern")
    options = wb.CaptureOptions(attention_layers=[3], rows=[4, 7], attention_dtype="float32")
    with recorded([point]):
        trace = session.trace(messages(), capture=options, max_tokens=2)
    assert np.abs(trace.attention[..., :20] - whole.attention[[4, 7], 3:4, :, :20]).max() <= 1e-6


# the rest of the options


def test_chosen_layers_of_routing_are_a_part_of_the_whole(session, whole):
    layers = list(session.llama.config.text.moe_layers)[1:3]
    options = wb.CaptureOptions(attention=False, moe_layers=layers)
    trace = session.trace(messages(), capture=options, max_tokens=NEW)
    assert trace.moe_layers.tolist() == layers
    assert np.array_equal(trace.routed_experts, whole.routed_experts[:, 1:3])
    assert np.array_equal(trace.router_logits, whole.router_logits[:, 1:3])
    assert (report := check(trace, session.llama.config.text)), report


def test_ids_alone_have_the_same_gates_and_no_logits(session, whole):
    trace = session.trace(messages(), capture="routing:ids", max_tokens=NEW)
    assert trace.router_logits is None and trace.attention is None
    assert np.array_equal(trace.routed_experts, whole.routed_experts)
    assert np.array_equal(trace.routed_weights, whole.routed_weights)


def test_half_precision_is_the_usual(session):
    assert session.trace("Hi", max_tokens=2).attention.dtype == np.float16


def test_numbers_may_come_as_arrays(session):
    numbers = {
        "attention_layers": [1, 3, 6],
        "attention_heads": [0, 5],
        "rows": [3, 9, 10],
        "moe_layers": [3],
    }
    arrays = wb.CaptureOptions(**{name: np.array(some) for name, some in numbers.items()})
    assert arrays == wb.CaptureOptions(**{name: tuple(some) for name, some in numbers.items()})
    assert {name: arrays.to_json()[name] for name in numbers} == numbers
    trace = session.trace(messages(), capture=arrays, max_tokens=2)
    assert trace.query_index.tolist() == [3, 9, 10] and trace.attention_heads.tolist() == [0, 5]
    assert trace.attention_layers.tolist() == [1, 3, 6] and trace.moe_layers.tolist() == [3]
    with pytest.raises(ValueError, match=r"rows is array\(\[0\.5\]\); expected whole numbers"):
        wb.CaptureOptions(rows=np.array([0.5]))


def test_names_mean_what_they_say():
    assert options_of(None) == wb.CaptureOptions()
    nothing = options_of([])
    assert not nothing.routing and not nothing.attention
    both = options_of(["routing", "attention:rows"])
    assert both.routing and both.router_logits and both.attention_layers == "all" and both.certain
    assert not options_of("attention").certain and not options_of("attention").routing
    assert options_of(["routing:ids", "attention:last"]).rows == "last"
    assert {options_of(name).rows for name in NAMES} == {"generated", "last", "prompt", "all"}


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: options_of("rooting"), "'rooting'; nearest: 'routing'"),
        (lambda: options_of(["routing", "attention:row"]), "nearest: 'attention:rows'"),
        (lambda: options_of([3]), "by the name 3"),
        (lambda: options_of(["attention", "attention:all"]), "expected one kind of attention"),
        (lambda: wb.CaptureOptions(rows="generatd"), "nearest: 'generated'"),
        (lambda: wb.CaptureOptions(attention_dtype="bfloat16"), "expected one of"),
        (lambda: wb.CaptureOptions(attention_layers="3"), "expected numbers, 'all' or None"),
        (lambda: wb.CaptureOptions(budget=-1), "expected bytes"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_nearest(ask, said):
    with pytest.raises(ValueError, match=said):
        ask()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attention_layers": [8]}, r"attention_layers is \[8\]; expected different numbers, .* 0 to 7"),
        ({"attention_layers": []}, "at least one"),
        ({"attention_heads": [1, 1]}, "different numbers"),
        ({"attention_heads": [-1]}, "0 to 7"),
        ({"moe_layers": [99]}, "moe_layers is"),
        ({"rows": [10_000]}, "rows is"),
        ({"rows": ["x"]}, "whole numbers"),
    ],
)
def test_layers_heads_and_rows_that_are_not_there_are_refused_before_anything_runs(session, options, said):
    with pytest.raises(ValueError, match=said):
        session.start("Hi", capture=wb.CaptureOptions(**options))


# bytes


@pytest.mark.parametrize(
    "capture",
    [None, "routing:ids", ["routing", "attention:all"], "attention:last", []],
    ids=["usual", "ids", "all", "last", "nothing"],
)
def test_the_estimate_is_what_the_trace_takes(session, capture):
    settings = {"capture": capture, "max_tokens": 10}
    expected = session.estimate(messages(), **settings)
    with saying(session.llama, spoken("a" * 20)):
        trace = session.trace(messages(), **settings)
    arrays = {name: getattr(trace, name) for name in LAYOUT}
    assert expected.parts["pictures"] == 3 * 30 * 70
    taken = sum(array.nbytes for array in arrays.values() if array is not None)
    assert expected.total - expected.parts["pictures"] == taken
    assert expected.parts["attention"] == (0 if trace.attention is None else trace.attention.nbytes)
    assert expected.attention_layers == trace.attention_layers.tolist()
    assert list(expected.rows) == trace.query_index.tolist()


def test_an_estimate_shows_its_arithmetic(session):
    said = repr(session.estimate("Hi", capture="attention:rows", max_tokens=10))
    tokens = len(session.processor("Hi").token_ids) + 10
    assert f"10 rows x 8 layers x 8 heads x {tokens} tokens x 2 bytes" in said
    assert said.startswith("Estimate: at most") and "up to 10 generated" in said


def test_a_request_that_the_budget_cannot_hold_is_refused_with_the_arithmetic(session):
    prompt = len(session.processor("Hi").token_ids)
    layer = 10 * 8 * (prompt + 10) * 2
    said = (
        rf"attention: 10 rows x 8 layers x 8 heads x {prompt + 10} tokens x 2 bytes = .*; the "
        r"attention_budget leaves .* which holds 3 of these layers\. Choose fewer attention_layers"
    )
    options = {"attention_layers": "all", "attention_budget": 4 * layer - 1}
    for ask in (session.estimate, session.trace):
        with pytest.raises(wb.CaptureError, match=said):
            ask("Hi", capture=wb.CaptureOptions(**options), max_tokens=10)
    fewer = wb.CaptureOptions(attention_layers=[1, 2, 7], attention_budget=4 * layer - 1)
    assert session.trace("Hi", capture=fewer, max_tokens=10).attention_layers.tolist() == [1, 2, 7]


def test_a_budget_for_everything_holds_everything_or_is_refused(session):
    usual = session.estimate("Hi", max_tokens=10)
    rest = usual.total - usual.parts["attention"]
    layer = usual.parts["attention"] // 8
    fits = wb.CaptureOptions(budget=rest + 2 * layer)
    assert session.estimate("Hi", capture=fits, max_tokens=10).attention_layers == [3, 7]
    assert session.trace("Hi", capture=fits, max_tokens=10).attention.shape[1] == 2
    with pytest.raises(wb.CaptureError, match=r"attention: .* the budget leaves"):
        certain = wb.CaptureOptions(budget=rest + 2 * layer, attention_layers="all")
        session.start("Hi", capture=certain, sampling=wb.SamplingParams(max_tokens=10))
    with pytest.raises(wb.CaptureError, match=r"router_logits: \d+ tokens x \d MoE layers x 8 experts x 2"):
        session.start("Hi", capture=wb.CaptureOptions(budget=100))


def test_a_trace_says_what_was_asked_for(session, tmp_path):
    options = wb.CaptureOptions(attention_heads=(2,), rows=range(3))
    trace = session.trace("Hi", capture=options, max_tokens=2)
    assert trace.meta["capture"]["rows"] == [0, 1, 2] and trace.meta["capture"]["attention_heads"] == [2]
    again = wb.Trace.open(trace.save(tmp_path / "trace"))
    assert again.attention_heads.tolist() == [2] and np.array_equal(again.attention, trace.attention)
    assert check(again, session.llama.config.text)
