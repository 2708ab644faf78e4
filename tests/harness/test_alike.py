"""Collectives of the first of several equal ranks, against what equal ranks would really get."""

import pytest
import torch
import torch.distributed as dist

from harness.facade.alike import Alike

RANKS = Alike(4)
OWN = torch.arange(4.0)


@pytest.mark.parametrize(("op", "times"), [("SUM", 4), ("AVG", 1), ("MAX", 1), ("MIN", 1)])
def test_only_a_sum_of_equal_parts_differs_from_them(op, times):
    whole, one, share = OWN.clone(), OWN.clone(), torch.zeros(1)
    RANKS.all_reduce(whole, op=getattr(dist.ReduceOp, op))
    RANKS.reduce(one, 0, getattr(dist.ReduceOp, op))
    RANKS.scatter_from(share, OWN + 1, getattr(dist.ReduceOp, op))
    assert torch.equal(whole, times * OWN)
    assert torch.equal(one, times * OWN)
    assert share.item() == times


def test_what_is_gathered_are_copies():
    joined, listed = torch.zeros(4, 4), [torch.zeros(2, 2) for _ in range(4)]
    assert RANKS.gather_into(joined, OWN, async_op=True).wait()
    RANKS.all_gather(listed, OWN.view(2, 2))
    assert torch.equal(joined, OWN.expand(4, 4))
    assert all(torch.equal(part, OWN.view(2, 2)) for part in listed)
    objects = [None] * 4
    RANKS.gather_objects(objects, {"a": 1})
    RANKS.gather_objects_to_one({"a": 1})
    assert objects == [{"a": 1}] * 4
    assert objects[0] is not objects[1]


def test_the_first_rank_receives_what_is_meant_for_it():
    received, listed = torch.zeros(4), [torch.zeros(1) for _ in range(4)]
    RANKS.exchange(received, OWN + 1)
    RANKS.exchange_lists(listed, list(OWN.view(4, 1) + 1))
    assert torch.equal(received, torch.ones(4))
    assert [part.item() for part in listed] == [1.0] * 4
