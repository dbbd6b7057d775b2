"""One row meets a bfloat16 weight without oneDNN, which is as it was afterwards, whatever threads do."""

import threading

import pytest
import torch
from torch.nn import functional as F

from kernels import cpu, fp8, one_row
from kernels.kept import KEPT
from kernels.linear import linear_reference


@pytest.fixture
def switched():
    """Puts the switch back, whatever a test does to it."""
    before = torch._C._get_mkldnn_enabled()
    yield torch._C._set_mkldnn_enabled
    torch._C._set_mkldnn_enabled(before)


def in_columns(x, w):
    return one_row.weighted_columns(x, one_row.in_columns(w), len(w))


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (33, 130), (300, 513), (1024, 2048), (2100, 64)])
@pytest.mark.parametrize("product", [one_row.product, in_columns])
def test_the_product_is_rounded_once(product, shape):
    torch.manual_seed(0)
    x, w = torch.randn(1, shape[1]).bfloat16(), torch.randn(shape).bfloat16()
    exact = x.double() @ w.double().T
    said = product(x, w)
    assert said.dtype == torch.bfloat16 and said.shape == exact.shape
    # half a step of the result, and float32's own rounding of a sum of as many products
    room = exact.abs() * 2.0**-8 + 2.0**-22 * (x.double().abs() @ w.double().abs().T)
    assert ((said.double() - exact).abs() <= room).all()


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_row_meets_columns_alike_whatever_the_threads_and_its_axes(threads):
    torch.manual_seed(0)
    x, w = torch.randn(1, 1, 96).bfloat16(), torch.randn(700, 96).bfloat16()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        said = in_columns(x, w)
    finally:
        torch.set_num_threads(before)
    assert said.shape == (1, 1, 700)
    assert torch.equal(said[0], in_columns(x[0], w))


@pytest.fixture
def maker(monkeypatch, request):
    """As if this were a CPU of that maker."""
    if not cpu._blocked():
        pytest.skip("oneDNN multiplies no bfloat16 here")
    cpu._alone_up_to.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": request.param}, raising=False)
    KEPT.clear()
    yield request.param
    cpu._alone_up_to.cache_clear()
    KEPT.clear()


@pytest.mark.parametrize("maker", ["Intel Xeon", "AMD EPYC"], indirect=True)
@pytest.mark.parametrize("shape", [(96, 64), (512, 512), (640, 768)])
@pytest.mark.parametrize("form", [lambda w: w, fp8.quantize_rows], ids=["plain", "fp8"])
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_a_product_is_the_same_whichever_way_the_cpu_prefers(maker, shape, form, rows):
    torch.manual_seed(0)
    x, w = torch.randn(rows, shape[1]).bfloat16(), form(torch.randn(shape).bfloat16())
    with torch.no_grad():
        said, again = cpu.linear(x, w), cpu.linear(x, w)
    assert torch.equal(said, again)
    torch.testing.assert_close(said, linear_reference(x, w), rtol=2**-7, atol=2**-7 * shape[1] ** 0.5)


@pytest.mark.parametrize(("maker", "copies"), [("Intel Xeon", 1), ("AMD EPYC", 0)], indirect=["maker"])
def test_a_row_meets_a_large_weight_as_it_is_only_where_that_is_faster(maker, copies):
    w = torch.randn(640, 768).bfloat16()
    with torch.no_grad():
        cpu.linear(torch.randn(1, 768).bfloat16(), w)
    assert len(KEPT) == copies


def test_a_row_takes_no_second_copy_of_a_plain_weight_and_many_rows_do():
    if not cpu._blocked():
        pytest.skip("oneDNN multiplies no bfloat16 here")
    torch.manual_seed(0)
    w = torch.randn(512, 512).bfloat16()
    x = torch.randn(8, 512).bfloat16()
    KEPT.clear()
    with torch.no_grad():
        one = cpu.linear(x[:1], w)
        assert not len(KEPT)
        many = cpu.linear(x, w)
        assert len(KEPT) == 1
    torch.testing.assert_close(one, many[:1], rtol=2**-7, atol=1e-2)


def test_the_switch_is_as_it_was_also_after_an_error(switched):
    x, w = torch.ones(1, 4).bfloat16(), torch.ones(2, 4).bfloat16()
    for state in (True, False):
        switched(state)
        one_row.product(x, w)
        assert torch._C._get_mkldnn_enabled() is state
        with pytest.raises(RuntimeError):
            one_row.product(x, w[:, :3])
        assert torch._C._get_mkldnn_enabled() is state


def test_threads_that_come_and_go_leave_it_on(switched, monkeypatch):
    switched(True)
    both, seen, linear = threading.Barrier(2), [], F.linear

    def together(x, w):
        both.wait(10)  # both are inside
        seen.append(torch._C._get_mkldnn_enabled())
        return linear(x, w)

    x, w = torch.ones(1, 4).bfloat16(), torch.ones(2, 4).bfloat16()
    monkeypatch.setattr(one_row.F, "linear", together)
    threads = [threading.Thread(target=one_row.product, args=(x, w)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == [False, False] and torch._C._get_mkldnn_enabled()
