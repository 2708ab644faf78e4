"""Which printed line is taken for the claimed number."""

import re

import pytest

from checkers.static._headline import _literal


@pytest.mark.parametrize(
    ("printed", "logged"),
    [("T=1.1) stride:64 ", "T=1.10) stride:32 "), ("final_int8 loss: ", "final_int8 loss: ")],
)
def test_numbers_that_stand_alone_may_differ(printed, logged):
    assert re.search(_literal(printed), logged)


def test_numbers_in_names_may_not():
    assert not re.search(_literal("final_int8_exact"), "final_int6_exact")
