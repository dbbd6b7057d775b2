"""Tables and arrays out of a trace: every number is where the trace has it, and what is absent has no row."""

import csv
import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from tests.workbench.integrity.clean import clean_trace
from workbench import export
from workbench.trace import LAYOUT, NOT_CAPTURED, replace

FIXED = {"layers": 3, "experts": 8, "top": 2, "prompt": 9, "new": 4, "picture": True}


@pytest.fixture(scope="module")
def trace() -> wb.Trace:
    """The last token is not routed yet."""
    return clean_trace(3, **FIXED, finished=False)


def test_a_table_of_tokens_has_a_row_for_each(trace):
    rows = trace.to_pandas("tokens")
    assert len(rows) == len(trace) and rows.token.tolist() == list(range(len(trace)))
    assert rows.text.tolist() == trace.tokens and rows.token_id.tolist() == trace.token_ids.tolist()
    assert rows.phase.value_counts().to_dict() == {"prompt": len(trace) - 4, "generated": 4}
    assert rows.modality.tolist()[:3] == ["marker", "patch", "patch"]
    assert np.array_equal(rows[["x0", "y0", "x1", "y1"]], trace.patch_box, equal_nan=True)
    assert rows.logprob.notna().sum() == 4
    np.testing.assert_array_equal(rows.logprob[trace.generated_index], trace.logprobs)


def test_a_table_of_routing_has_a_row_for_each_expert_that_ran(trace):
    rows = trace.to_pandas("routing")
    assert len(rows) == (trace.routed_experts != NOT_CAPTURED).sum() == (len(trace) - 1) * 3 * 2
    columns = {number: column for column, number in enumerate(trace.moe_layers.tolist())}
    for row in rows.sample(40, random_state=0).itertuples():
        column = columns[row.layer]
        assert trace.routed_experts[row.token, column, row.rank] == row.expert
        assert trace.routed_weights[row.token, column, row.rank] == np.float16(row.weight)
        assert trace.router_logits[row.token, column, row.expert] == np.float16(row.logit)
    last = trace.moe_layers[-1]
    assert set(trace.to_pandas("routing", layers=[last]).layer) == {last}
    assert replace(trace, router_logits=None).to_pandas("routing").logit.isna().all()


def test_a_table_of_logits_leaves_out_what_was_not_captured(trace):
    rows = trace.to_pandas("router_logits")
    assert len(rows) == (len(trace) - 1) * 3 * 8
    whole = rows.pivot_table(index="token", columns=["layer", "expert"], values="logit").to_numpy()
    assert np.array_equal(whole, trace.router_logits[:-1].reshape(len(trace) - 1, -1))


def test_a_table_of_attention_has_true_numbers_and_nothing_from_the_future(trace):
    some = replace(trace, attention_heads=np.array([2, 5], np.int16))
    rows = some.to_pandas("attention")
    assert set(rows["head"]) == {2, 5} and (rows.token <= rows["query"]).all()
    assert len(rows) == 2 * 2 * (trace.query_index + 1).sum()
    sums = rows.groupby(["query", "layer", "head"]).weight.sum()
    np.testing.assert_allclose(sums, 1, atol=5e-3)
    one = some.to_pandas("attention", layers=[1], heads=[5])
    assert set(one.layer) == {1} and set(one["head"]) == {5}
    picked = one[one["query"] == trace.query_index[2]].weight
    np.testing.assert_array_equal(picked, trace.attention[2, 1, 1, : trace.query_index[2] + 1])


def test_tables_of_probabilities_and_pictures(trace):
    rows = trace.to_pandas("probabilities")
    assert len(rows) == 4 * 5 and rows.chosen.sum() == 4
    assert rows[rows.chosen].logprob.tolist() == trace.logprobs.tolist()
    assert trace.to_pandas("images").to_dict("records") == [
        {"image": 0, "width": 30, "height": 40, "patches": 9}
    ]


def test_what_is_not_there_is_refused_with_the_nearest(trace, monkeypatch):
    with pytest.raises(ValueError, match=r"no table 'atention'; nearest: 'attention'"):
        trace.to_pandas("atention")
    with pytest.raises(wb.TraceError, match="no attention; capture it"):
        replace(trace, attention=None).to_pandas("attention")
    with pytest.raises(ValueError, match=r"layers is \[99\]; expected different numbers"):
        trace.to_pandas("routing", layers=[99])
    monkeypatch.setattr(export, "MOST_ROWS", 10)
    with pytest.raises(wb.TraceError, match="choose layers="):
        trace.to_pandas("attention")


def test_csv_has_the_same_rows_and_empty_cells_for_missing_numbers(trace, tmp_path):
    for what in export.TABLES:
        path = trace.to_csv(tmp_path / f"{what}.csv", what)
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        table = trace.to_pandas(what)
        assert header == list(table.columns) and len(rows) == len(table)
    with (tmp_path / "tokens.csv").open(newline="", encoding="utf-8") as file:
        tokens = list(csv.DictReader(file))
    assert tokens[0]["x0"] == "" and float(tokens[1]["x0"]) == 0 and tokens[0]["logprob"] == ""
    with pytest.raises(FileNotFoundError, match="nowhere"):
        trace.to_csv(tmp_path / "nowhere" / "x.csv")


def test_a_text_with_commas_quotes_and_lines_stays_one_cell(trace, tmp_path):
    odd = 'a,"b"\nü🎈'
    path = replace(trace, tokens=[odd, *trace.tokens[1:]]).to_csv(tmp_path / "odd.csv")
    with path.open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["text"] == odd


def test_arrays_are_those_of_the_trace(trace):
    arrays = replace(trace, attention=None).to_numpy()
    assert arrays.keys() == {"tokens", *LAYOUT} - {"attention"}
    assert arrays["routed_experts"] is trace.routed_experts and arrays["tokens"].tolist() == trace.tokens


def test_a_dataset_has_named_dimensions_and_true_numbers(trace):
    xarray = pytest.importorskip("xarray")
    data = trace.to_xarray()
    assert isinstance(data, xarray.Dataset) and data.attention.dims == ("query", "layer", "head", "token")
    assert data.router_logits.dims == ("token", "moe_layer", "expert")
    layer, query = trace.moe_layers[-1], trace.query_index[1]
    np.testing.assert_array_equal(data.routed_experts.sel(moe_layer=layer), trace.routed_experts[:, -1])
    np.testing.assert_array_equal(data.attention.sel(query=query), trace.attention[1])
    assert data.routed_experts.attrs["provenance"].startswith("REAL")
    assert "attention" not in replace(trace, attention=None).to_xarray()


def test_a_library_that_is_missing_is_asked_for_by_name(trace, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match="to_xarray needs xarray: pip install xarray"):
        trace.to_xarray()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas"):
        trace.to_pandas()


def test_tables_need_neither_the_model_nor_torch(trace, tmp_path):
    code = (
        "import sys\nsys.modules['torch'] = None\nimport workbench as wb\n"
        "trace = wb.Trace.open(sys.argv[1])\ntrace.to_csv(sys.argv[2], 'routing')\n"
        "print(len(trace.to_vllm()))"
    )
    path = trace.save(tmp_path / "trace")
    child = [sys.executable, "-c", code, str(path), str(tmp_path / "table.csv")]
    done = subprocess.run(child, capture_output=True, text=True)
    assert done.stdout.strip() == str(len(trace)), done.stderr
