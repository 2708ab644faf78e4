"""Programs of a grid that run side by side leave the memory that they leave one by one."""

import pytest
import torch

from harness.facade.kernels import language as tl
from harness.facade.kernels import launch, together

ROWS, WIDTH, BLOCK = 24, 100, 32


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    torch.manual_seed(7)
    monkeypatch.setattr(together, "CHOICE", {})


def scan(x, out, length, width, BLOCK: tl.constexpr):
    """Running sums that decay, a masked block of channels a program, changed in place."""
    columns = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < width
    row = tl.program_id(1)
    columns += 0
    state = tl.zeros([BLOCK], tl.float32)
    at = x + row * length * width + columns
    to = out + row * length * width + columns
    for _ in range(length):
        state += tl.load(at, mask=mask, other=0.0)
        tl.store(to, state, mask=mask)
        state *= 0.5
        at += width
        to += width


def branching(x, out, width, BLOCK: tl.constexpr):
    """The first block of a row is doubled, so the first axis decides which way a program goes."""
    columns = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    place = tl.program_id(1) * width + columns
    value = tl.load(x + place, mask=columns < width)
    if tl.program_id(0) == 0:
        value = value * 2
    tl.store(out + place, value + tl.load(x), mask=columns < width)


def counting(x, total, width, BLOCK: tl.constexpr):
    """Atomic addition of all rows."""
    columns = tl.arange(0, BLOCK)
    values = tl.load(x + tl.program_id(0) * width + columns, mask=columns < width, other=0.0)
    tl.atomic_add(total + columns, values, mask=columns < width)


def stepping(x, out, width, BLOCK: tl.constexpr):
    """Changes its own input and then asks a block for one number, which many programs do not have."""
    columns = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + columns) + 1
    tl.store(x + columns, value)
    tl.store(out + columns, value * int(tl.sum(value) > 0))


def chosen():
    """The axes that were found, of the one kernel that was launched."""
    (axes,) = together.CHOICE.values()
    return axes


def run_twice(kernel, grid, *arguments, **settings):
    """The launch that is checked and one that is trusted."""
    jitted = launch.jit(kernel)
    for _ in range(2):
        jitted[grid](*arguments, **settings)


def test_blocks_that_change_in_place_run_side_by_side_along_all_axes():
    x = torch.randn(ROWS, 5, WIDTH)
    jitted = launch.jit(scan)
    for _ in range(2):
        out = torch.full_like(x, 9.0)
        jitted[(4, ROWS)](x, out, 5, WIDTH, BLOCK=BLOCK)
        expected = torch.stack([sum(x[:, s] * 0.5 ** (t - s) for s in range(t + 1)) for t in range(5)], 1)
        torch.testing.assert_close(out, expected)
    assert chosen() == (0, 1)


def test_it_is_one_run_of_the_kernel_for_all_programs():
    calls = []

    def kernel(x, out):
        calls.append(1)
        tl.store(out + tl.program_id(0), tl.load(x + tl.program_id(0)) * 2)

    x, out = torch.randn(ROWS), torch.zeros(ROWS)
    jitted = launch.jit(kernel)
    jitted[(ROWS,)](x, out)
    before = len(calls)
    out.zero_()
    jitted[(ROWS,)](x, out)
    assert len(calls) - before == 1
    assert torch.equal(out, 2 * x)


def test_an_axis_that_decides_the_way_is_left_out():
    x, out = torch.randn(ROWS, WIDTH), torch.zeros(ROWS, WIDTH)
    run_twice(branching, (4, ROWS), x, out, WIDTH, BLOCK=BLOCK)
    expected = x.clone()
    expected[:, :BLOCK] *= 2
    torch.testing.assert_close(out, expected + x[0, 0])
    assert chosen() == (1,)


def test_atomic_additions_go_on_one_by_one():
    x, total = torch.randn(ROWS, WIDTH), torch.zeros(WIDTH)
    run_twice(counting, (ROWS,), x, total, WIDTH, BLOCK=128)
    torch.testing.assert_close(total, 2 * x.sum(0))
    assert chosen() == ()


def test_memory_is_put_back_when_programs_cannot_run_side_by_side():
    x, out = torch.zeros(ROWS * BLOCK), torch.zeros(ROWS * BLOCK)
    run_twice(stepping, (ROWS,), x, out, WIDTH, BLOCK=BLOCK)
    assert torch.equal(x, torch.full_like(x, 2.0))
    assert torch.equal(out, x)
    assert chosen() == ()


def test_a_trusted_kernel_that_fails_later_is_run_one_by_one_on_untouched_memory():
    x, out = torch.zeros(ROWS * BLOCK), torch.zeros(ROWS * BLOCK)
    jitted = launch.jit(stepping)
    arguments = (x, out, WIDTH)
    jitted[(ROWS,)](*arguments, BLOCK=BLOCK)
    (key,) = together.CHOICE
    together.CHOICE[key] = (0,)  # as if it had gone well the first time
    jitted[(ROWS,)](*arguments, BLOCK=BLOCK)
    assert torch.equal(x, torch.full_like(x, 2.0))
    assert together.CHOICE[key] == ()


def test_what_differs_is_not_trusted():
    """A race: each program reads what its neighbour wrote, so the order shows."""

    def racing(x):
        place = tl.program_id(0)
        tl.store(x + place + 1, tl.load(x + place) + 1)

    x = torch.zeros(ROWS + 1)
    launch.jit(racing)[(ROWS,)](x)
    assert torch.equal(x, torch.arange(ROWS + 1.0))
    assert chosen() == ()
