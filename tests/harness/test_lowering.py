"""Newer syntax becomes syntax of this interpreter, line by line, and means the same."""

# ruff: noqa: E501 - strings of strings
from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import lowering, lowering_cst
from harness.lowering import lower, statements, tree, why_not
from harness.lowering_cst import by_strings, formatted_strings, rewrite, whole

# In each pair the second is how one would have had to write the first before Python 3.12.
PAIRS = [
    ('x = f"{d["a"]}"', "x = f\"{d['a']}\""),
    ("x = f'{d['a']} {d['b']:>{w}}'", 'x = f\'{d["a"]} {d["b"]:>{w}}\''),
    ('x = f"{f"{y}"}"', "x = f\"{f'{y}'}\""),
    (
        'x = f"{", ".join(f"{k}={v["q"]:.3f}" for k, v in d)}"',
        "x = f'''{', '.join(f\"{k}={v['q']:.3f}\" for k, v in d)}'''",
    ),
    ('x = rf"\\d{d["k"]}"', "x = rf\"\\d{d['k']}\""),
    ('x = f"{ {1: 2}["a"] }"', "x = f\"{ {1: 2}['a'] }\""),
    ('x = f"{d["a"]!r:>10}"', "x = f\"{d['a']!r:>10}\""),
    ('x = (f"{d["a"]}" "b" f"{c}")', 'x = (f"{d[\'a\']}" "b" f"{c}")'),
    ('x = f"{d["a"]}"if 0 else 1\ny = [0for _ in z]', "x = f\"{d['a']}\" if 0 else 1\ny = [0 for _ in z]"),
    ("type X[T] = list[T]", "X = list[T]"),
    ("def f[T: int](a: T) -> T:\n    return a", "def f(a: T) -> T:\n    return a"),
    ("class A[T](B):\n    pass", "class A(B):\n    pass"),
]
SAME_VALUE = [
    ('f"{"\\n".join(["a", "b"])}!"', "a\nb!"),
    ("f'{\"#\" * 3}'", "###"),
    ('f"{"#" + "\\\\"}"', "#\\"),
    ('f"{f"{f"{f"{f"{1 + 1}"}"}"}"}"', "2"),
    ('f"{b"a\\0"!r}"', "b'a\\x00'"),
    ('f"{"a" "b"}{{}}"', "ab{}"),
    ('f"{1:{"0" + "5"}}\\t\'"', "00001\t'"),
    ('f"{\n  1  # a comment\n  + 1\n}"', "2"),
    ("f'''{'a'}{\"b\"}{'''c'''}'''", "abc"),
]


@pytest.mark.parametrize(("new", "old"), PAIRS)
def test_lowered_code_is_the_same_tree(new, old):
    lowered, problem = lower(new)
    assert problem is None
    assert ast.dump(tree(lowered)) == ast.dump(tree(old))


@pytest.mark.parametrize(("expression", "value"), SAME_VALUE)
def test_lowered_strings_have_the_same_value_on_the_same_lines(expression, value):
    lowered, problem = lower(expression)
    assert problem is None
    assert lowered.count("\n") == expression.count("\n")
    assert eval(lowered) == value


def test_tokens_stay_on_their_lines():
    text = 'a = 1\nb = f"{g["x"]}"; c = 2\n\n# note\nd = f"{\n    e\n}"\nf = 3\n'
    lowered, _ = lower(text)
    places = {n.id: n.lineno for n in ast.walk(ast.parse(lowered)) if isinstance(n, ast.Name)}
    assert places == {"a": 1, "b": 2, "c": 2, "g": 2, "d": 5, "e": 6, "f": 8}


@pytest.mark.parametrize("text", ["x = 1\n", 'f"{a}"', "", "def f():\n\tpass", "x = '\\d'"])
def test_what_parses_is_left_alone(text):
    assert lower(text) == (text, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(:\n", "line 1"),
        ('x = f"{"\n', "line 1"),
        ("\0", "null bytes"),
        ("print 1\n", "Missing parentheses"),
        ("-" * 50_000 + "1", "too deeply nested"),
        ('f"{' + "-" * 50_000 + '1}" + f"{d["a"]}"', ""),
    ],
)
def test_what_nobody_parses_comes_back_with_the_reason(text, reason):
    lowered, problem = lower(text)
    assert lowered == text
    assert reason in problem


def test_statements_come_in_source_order_without_expressions():
    text = "if a:\n    b = 1\nelse:\n    c = 2\ntry:\n    d = 3\nexcept E:\n    e = 4\nfinally:\n    f = 5\ng = 6\n"
    found = [n.lineno for n in statements(tree(text))]
    assert found == sorted(found)
    assert len(found) == 8


# What stands around a string must not be taken for one, nor its end be missed.
AROUND = [
    "# it's a note\n",
    "a = 'f\"' if\"x\"else'y'\n",
    "b = r'\\\\' 'it\\'s' '''\"''' + rb'\\''\n",
    'c = """ f"{"""\n',
    'd = f"\\N{BULLET}{{{1:{2}}}}" rf"\\N{3}\\{4}"\n',
    "e = f'{1:\">4}' f'{ {1: 2}[1]}' f'{(lambda: 1)()}'\n",
    "g = f'''{1}'{2}''{3:#x}'''\n",
]


@pytest.mark.parametrize("before", AROUND)
@pytest.mark.parametrize("new", [new for new, _ in PAIRS if new.startswith("x = f")])
def test_strings_alone_are_rewritten_as_in_a_tree_of_the_whole(before, new):
    text = before + new + "\n" + before
    assert by_strings(text) == whole(text)


def test_a_string_inside_another_is_none_of_its_own():
    text = 'a = "f\'x\'"; b = f"{f"{c}"}"\n'
    assert [text[i:j] for i, j in formatted_strings(text)] == ['f"{f"{c}"}"']


@pytest.mark.parametrize("text", ["type X[T] = 1", 'f"{', "f'{1", 'f"{1:', "f'\n'"])
def test_where_strings_are_not_all_or_have_no_end_the_whole_is_read(text):
    assert by_strings(text) is None


_NAMES = st.sampled_from(
    ["a", "bb", "d['k']", 'd["k"]', "', '.join(x)", '"\\n"', "1 if a else 'z'", "(lambda: 'q')()"]
)
_LITERALS = st.sampled_from(["", "text ", "{{", "}}", "\\n", "'", "it's ", "# no comment "])
_SPECS = st.sampled_from(["", "!r", ":>9", ":{w}"])


@st.composite
def fstrings(draw, depth=2):
    pieces = []
    for _ in range(draw(st.integers(1, 3))):
        inner = draw(fstrings(depth=depth - 1)) if depth and draw(st.booleans()) else draw(_NAMES)
        pieces.append(draw(_LITERALS) + "{" + inner + draw(_SPECS) + "}")
    return 'f"' + "".join(pieces) + '"'


@settings(max_examples=80, deadline=None)
@given(fstrings())
def test_any_nested_f_string_becomes_one_this_interpreter_reads(text):
    lowered = rewrite(f"x = {text}\ny = 1\n")
    assert lowered is not None
    assert why_not(lowered) is None
    assert lowered.count("\n") == 2


def test_work_does_not_double_with_each_level_of_nesting():
    lowered, problem = lower("f'{" * 30 + "1" + "}'" * 30)
    assert problem is None  # where it doubled, the processor time of the rewriting ran out at twenty levels
    assert eval(lowered) == "1"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_no_text_raises(text):
    assert lower(text.replace('f"', "").replace("f'", ""))[0] is not None


def test_a_reason_without_a_line_names_none():
    assert "None" not in str(why_not("x = 1\0"))


_ASKED = (
    "import atexit, resource, runpy, sys\n"
    "atexit.register(lambda: print(resource.getrlimit(resource.RLIMIT_CPU)[0], file=sys.stderr))\n"
    "runpy.run_path(sys.argv[1], run_name='__main__')"
)


def test_a_busy_machine_does_not_make_a_script_unreadable():
    """The child is limited by its own processor time; the wait for it is far longer than that."""
    command = [sys.executable, "-c", _ASKED, lowering_cst.__file__]
    done = subprocess.run(command, input="x = 1", capture_output=True, text=True, check=True)
    assert done.stdout == "x = 1"
    assert 0 < int(done.stderr) <= lowering._SECONDS / 10
