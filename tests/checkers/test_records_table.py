"""Which record a submission had to beat, and how means are told."""

from datetime import date

import pytest

from harness.experiments.evalue import measured
from rules.records import contested


def test_the_record_is_that_of_the_earliest_day_that_is_stated():
    head = date(2026, 4, 22)
    assert contested(head, "2026-04-02", "2026-04-20T10:00:00Z", None, "soon") == date(2026, 4, 2)
    assert contested(head, None) == head


@pytest.mark.parametrize(
    ("mean", "error", "told"),
    [
        (460.948, 19.81, "461 ± 20"),
        (1.00031, 0.0012, "1.0003 ± 0.0012"),
        (13_412.0, 250.0, "13,412 ± 250"),
        (1.0, 0.0, "1.000 ± 0.000"),
    ],
)
def test_a_mean_has_the_digits_that_its_error_justifies(mean, error, told):
    assert measured(mean, error) == told
