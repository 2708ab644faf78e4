"""How the child compiles a script: the parts that need no façade."""

import pytest

from harness.facade.sources import SourceBook


def load(text):
    space = {"__name__": "script"}
    exec(SourceBook().compile(text, "script.py"), space)
    return space


@pytest.mark.parametrize(
    "definition",
    [
        "def score(x: np.ndarray) -> float: return x",
        "def score(x, *, y: float | np.ndarray = 0.0) -> float: return x",
        "def score(x) -> dict[str, np.ndarray]: return x",
        "class Model:\n    table: np.ndarray\n    def score(self, x: np.ndarray): return x",
    ],
)
def test_annotations_may_name_what_is_imported_after_them(definition):
    assert "np" in load(f"{definition}\nimport json, math as np\n")


def test_other_annotations_keep_their_values():
    assert load("import math\ndef score(x: int) -> math: return x\n")["score"].__annotations__["x"] is int
    fields = "class Model:\n    Kind = int\n    width: Kind = 3\n    def score(self, x: Kind): return x\n"
    assert load(fields)["Model"].__annotations__["width"] is int


def test_a_name_that_is_bound_nowhere_still_ends_the_script():
    with pytest.raises(NameError):
        load("def score(x: unheard_of): return x\n")
