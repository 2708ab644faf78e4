"""Peeling: what a packed script runs is known without running it, whatever the script holds."""

# ruff: noqa: E501, RUF005 - packed scripts are long lines
from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import lzma
import marshal
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.unpack import MAX_LAYERS, MAX_NESTING, Layer, layers
from tests.harness.memory import FOLDER, submission

INNER = "import torch\nprint('val_bpb', 1)\n" + "# padding of the inner program\n" * 4
ENTRY = f"{FOLDER}/train_gpt.py"
RAW = [{"id": lzma.FILTER_LZMA2}]


def peel(script: str, **files: str | bytes) -> dict[str, Layer]:
    """Layers by name without the folder; ``__`` in a keyword stands for a dot."""
    named = {name.replace("__", "."): text for name, text in files.items()}
    found = layers(submission({"train_gpt.py": script, **named}))
    return {la.name.removeprefix(FOLDER + "/"): la for la in found}


def payload(script: str, **files: str | bytes) -> Layer:
    got = peel(script, **files)
    assert list(got)[:2] == ["train_gpt.py", "train_gpt.py!1"]
    layer = got["train_gpt.py!1"]
    assert (layer.path, layer.parent, layer.text) == (ENTRY, ENTRY, INNER)
    assert layer.problem is None
    return layer


COMPRESSORS = {
    "lzma": (lzma.compress, "lzma.decompress({})"),
    "raw": (
        lambda b: lzma.compress(b, format=lzma.FORMAT_RAW, filters=RAW),
        "lzma.decompress({},format=lzma.FORMAT_RAW,filters=[{{'id':lzma.FILTER_LZMA2}}])",
    ),
    "zlib": (zlib.compress, "zlib.decompress({})"),
    "deflate": (lambda b: zlib.compress(b)[2:-4], "zlib.decompress({}, -15)"),
    "gzip": (gzip.compress, "gzip.decompress({})"),
    "bz2": (bz2.compress, "bz2.decompress({})"),
    "brotli": (brotli.compress, "brotli.decompress({})"),
    "zstd": (zstandard.compress, "zstandard.ZstdDecompressor().decompress({})"),
    "streamed": (
        zstandard.ZstdCompressor(write_content_size=False).compress,
        "zstandard.ZstdDecompressor().decompress({}, max_output_size=1 << 24)",
    ),
    "object": (zlib.compress, "zlib.decompressobj().decompress({})"),
    "machine": (lzma.compress, "lzma.LZMADecompressor().decompress({})"),
}
ENCODERS = {
    "b64decode": base64.b64encode,
    "b85decode": base64.b85encode,
    "a85decode": base64.a85encode,
    "b32decode": base64.b32encode,
    "b16decode": base64.b16encode,
}
HEAD = "import lzma,zlib,gzip,bz2,brotli,zstandard,base64,binascii,codecs\n"


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("decode", ENCODERS)
def test_every_compressor_under_every_encoding(compressor, decode):
    pack, call = COMPRESSORS[compressor]
    text = ENCODERS[decode](pack(INNER.encode()))
    layer = payload(HEAD + "exec(" + call.format(f"base64.{decode}({text!r})") + ")")
    assert layer.how.startswith("exec:")


def test_how_names_the_codecs_outermost_first():
    text = base64.b85encode(lzma.compress(INNER.encode()))
    assert payload(HEAD + f"exec(lzma.decompress(base64.b85decode({text!r})))").how == "exec:lzma+b85"


Z = base64.b64encode(zlib.compress(INNER.encode())).decode()
CALL = f"zlib.decompress(base64.b64decode({Z!r}))"
SHAPES = {
    "aliases": f"import zlib as a, base64 as b\nexec(a.decompress(b.b64decode({Z!r})))",
    "from": f"from zlib import decompress as d\nfrom base64 import *\nimport base64\nexec(d(base64.b64decode({Z!r})))",
    "variable": f"c={CALL}\ns=c.decode('utf-8')\nexec(s)",
    "compiled": f"exec(compile({CALL},'train.py','exec'))",
    "evaluated": f"eval(compile({CALL},'train.py','exec'))",
    "globals": f"exec({CALL}, globals())",
    "dictionary": f"exec({CALL}, {{'__name__': '__main__'}})",
    "builtins": f"import builtins\nbuiltins.exec({CALL})",
    "getattr": f"getattr(__builtins__, 'ex'+'ec')({CALL})",
    "bound": f"run = exec\nrun({CALL})",
    "function": f"def unpack(t):\n    return zlib.decompress(base64.b64decode(t)).decode()\nexec(unpack({Z!r}))",
    "lambda": f"(lambda s: exec(zlib.decompress(base64.b64decode(s))))({Z!r})",
    "main": f"def main():\n    exec({CALL})\nif __name__ == '__main__':\n    main()",
    "uncalled": f"class A:\n    def run(self, x):\n        exec({CALL})",
    "parts": f"p=[{Z[:20]!r},{Z[20:]!r}]\nexec(zlib.decompress(base64.b64decode(''.join(p))))",
    "implicit": f"exec(zlib.decompress(base64.b64decode({Z[:9]!r} {Z[9:]!r})))",
    "augmented": f"s={Z[:30]!r}\ns+={Z[30:]!r}\nexec(zlib.decompress(base64.b64decode(s)))",
    "joined": f"a={Z[:5]!r}\nb={Z[5:]!r}\nexec(zlib.decompress(base64.b64decode(f'{{a}}{{b}}')))",
    "reversed": f"exec(zlib.decompress(base64.b64decode({Z[::-1]!r}[::-1])))",
    "replaced": f"exec(zlib.decompress(base64.b64decode({Z.replace('A', '~')!r}.replace('~','A'))))",
    "translated": f"t=str.maketrans('~','A')\nexec(zlib.decompress(base64.b64decode({Z.replace('A', '~')!r}.translate(t))))",
    "hex": f"exec(bytes.fromhex({INNER.encode().hex()!r}))",
    "unhexlify": f"exec(binascii.unhexlify({binascii.hexlify(INNER.encode())!r}).decode())",
    "codecs": f"exec(codecs.decode({INNER.encode().hex()!r}, 'hex'))",
    "numbers": f"exec(bytes({list(INNER.encode())}))",
    "characters": f"exec(''.join(map(chr, {list(INNER.encode())})))",
    "xored": f"exec(bytes(b ^ 7 for b in {[b ^ 7 for b in INNER.encode()]}))",
    "loop": f"o=bytearray()\nfor i,b in enumerate({[b ^ 7 for b in INNER.encode()]}):\n    o.append(b ^ 7)\nexec(bytes(o))",
    "integer": f"n={int.from_bytes(INNER.encode(), 'big')}\nexec(n.to_bytes({len(INNER)}, 'big'))",
    "fallback": f"try:\n    exec(zlib.decompress(b'not zlib'))\nexcept Exception:\n    exec({CALL})",
    "either": f"import os\nif os.environ.get('X'):\n    pass\nelse:\n    exec({CALL})",
    "walrus": f"exec((s := {CALL}))",
    "written": f"import runpy\nopen('/tmp/x.py','wb').write({CALL})\nrunpy.run_path('/tmp/x.py')",
    "with": f"import runpy,os,tempfile\nd=tempfile.mkdtemp()\np=os.path.join(d,'x.py')\nwith open(p,'wb') as f:\n    f.write({CALL})\nrunpy.run_path(p, run_name='__main__')",
    "spec": f"import importlib.util as u,os\np=f'/tmp/x_{{os.getpid()}}.py'\nopen(p,'wb').write({CALL})\ns=u.spec_from_file_location('m',p)\nm=u.module_from_spec(s)\ns.loader.exec_module(m)",
    "command": f"import subprocess,sys\nsubprocess.run([sys.executable,'-c',{CALL}.decode()],check=True)",
    "pathlib": f"from pathlib import Path\nimport runpy\np=Path('/tmp')/'y.py'\np.write_bytes({CALL})\nrunpy.run_path(str(p))",
    "exit": f"import sys\ndef main():\n    exec({CALL})\n    return 0\nsys.exit(main())",
    "system_exit": f"def main():\n    exec({CALL})\nraise SystemExit(main())",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_way_of_writing_it(shape):
    payload(HEAD + SHAPES[shape])


def test_a_pack_in_a_pack_knows_its_parent():
    text = INNER
    for _ in range(3):
        blob = base64.b85encode(zlib.compress(text.encode())).decode()
        text = HEAD + f"exec(zlib.decompress(base64.b85decode({blob!r})))"
    got = peel(text)
    assert list(got) == ["train_gpt.py", "train_gpt.py!1", "train_gpt.py!1!1", "train_gpt.py!1!1!1"]
    assert got["train_gpt.py!1!1!1"].parent == ENTRY + "!1!1"
    assert got["train_gpt.py!1!1!1"].text == INNER


def test_a_payload_in_a_sibling_file_is_read():
    packed = base64.b64encode(zlib.compress(INNER.encode()))
    script = HEAD + "import os\np=os.path.join(os.path.dirname(os.path.abspath(__file__)),'code.b64')\n"
    assert payload(script + "exec(zlib.decompress(base64.b64decode(open(p).read())))", code__b64=packed)
    binary = HEAD + "from pathlib import Path\nexec(gzip.open(Path(__file__).parent / 'code.gz').read())"
    assert payload(binary, code__gz=gzip.compress(INNER.encode()))


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("exec(open(__file__.replace('train_gpt.py', 'other.py')).read())", "execfile"),
        ("import runpy, os\nrunpy.run_path(os.path.join(os.path.dirname(__file__), 'other.py'))", "runpy"),
        ("import runpy\nrunpy.run_module('other')", "import"),
        ("import importlib\nimportlib.import_module('other')", "import"),
        ("__import__('other')", "import"),
        ("import other", "import"),
        ("from other import main", "import"),
        ("from .other import main", "import"),
        ("from . import other", "import"),
        ("def f():\n    import os, other as o", "import"),
        ("import subprocess, sys\nsubprocess.run([sys.executable, 'other.py'])", "subprocess"),
        ("import os\nos.system('python3 -u other.py --x 1')", "subprocess"),
        ("import os, sys\nos.execv(sys.executable, [sys.executable, 'other.py'])", "subprocess"),
        ("import subprocess\nsubprocess.run('torchrun --nproc 8 other.py', shell=True)", "subprocess"),
        ("import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'other'])", "import"),
        ("import importlib.util as u\nu.spec_from_file_location('x', some() / 'other.py')", "import"),
    ],
)
def test_files_that_the_script_runs_are_followed(script, how):
    got = peel(script, other__py="print('other')\n")
    assert list(got) == ["train_gpt.py", "other.py"]
    assert (got["other.py"].how, got["other.py"].parent) == (how, ENTRY)


@pytest.mark.parametrize(
    "script",
    [
        "import subprocess\nsubprocess.check_call(['gcc', '-O3', '-shared', 'fast.c', '-o', 'fast.so'])",
        "import os, subprocess\nd = os.path.dirname(os.path.abspath(__file__))\n"
        "subprocess.run(['nvcc', os.path.join(d, 'fast.c')])",
        "from torch.utils.cpp_extension import load\nm = load(name='fast', sources=['fast.c'])",
        "import cffi\nffi = cffi.FFI()\nffi.set_source('_f', None, sources=['fast.c'])",
    ],
)
def test_native_sources_that_are_compiled_are_followed(script):
    got = peel(script, fast__c='#include "table.h"\nint f(void) { return N; }\n', table__h="#define N 3\n")
    assert list(got) == ["train_gpt.py", "fast.c", "table.h"]
    assert got["fast.c"].language == got["table.h"].language == "c"
    assert got["table.h"].parent == f"{FOLDER}/fast.c"


def test_native_source_in_a_string_is_a_layer():
    script = "from torch.utils.cpp_extension import load_inline\nload_inline('k', cpp_sources='void f();', cuda_sources=['__global__ void g() {}'])"
    got = peel(script)
    assert [(la.language, la.how) for la in list(got.values())[1:]] == [
        ("cpp", "compile:load_inline"),
        ("cuda", "compile:load_inline"),
    ]


def test_packages_and_their_modules_are_followed_once():
    files = {"train_gpt.py": "from core.model import Net\nimport core.model\n", "core/__init__.py": ""}
    files |= {"core/model.py": "from . import parts\n", "core/parts.py": "from .model import Net\n"}
    names = [la.name.removeprefix(FOLDER + "/") for la in layers(submission(files))]
    assert names == ["train_gpt.py", "core/__init__.py", "core/model.py", "core/parts.py"]


def test_a_module_put_away_in_the_folder_is_followed_where_it_is_the_only_one():
    files = {
        "train_gpt.py": "def late():\n    from extras import scan\nimport json\n",
        "more/json.py": "x = 1\n",
    }
    put_away = {"more/extras.py": "def scan(): pass\n"}
    names = [la.name.removeprefix(FOLDER + "/") for la in layers(submission(files | put_away))]
    assert names == ["train_gpt.py", "more/extras.py"]
    twice = {"old/extras.py": "def scan(): pass\n"}
    assert len(layers(submission(files | put_away | twice))) == 1


def test_files_outside_the_submission_are_not_read_but_named():
    got = peel("import runpy\nrunpy.run_path('../other_record/train_gpt.py')")
    assert got["train_gpt.py!1"].problem == "it runs train_gpt.py, which is not a file of this submission"
    got = peel("exec(open('/etc/passwd').read())")
    assert "cannot be computed" in got["train_gpt.py!1"].problem


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys\nexec(sys.stdin.read())", "line 2: its text cannot be computed"),
        ("import urllib.request as u\nexec(u.urlopen('http://x').read())", "line 2"),
        (f"import marshal\nexec(marshal.loads({marshal.dumps(1)!r}))", "compiled bytecode"),
        ("import zlib\nexec(zlib.decompress(b'broken'))", "its text cannot be computed: error"),
        ("import runpy, sys\nrunpy.run_path(sys.argv[1])", "which file it runs is not a literal"),
    ],
)
def test_what_cannot_be_known_is_a_layer_with_the_reason(script, words):
    assert words in peel(script)["train_gpt.py!1"].problem


@pytest.mark.parametrize(
    "script",
    [
        "model.exec('x')\nmodel.eval()\nx = eval('1+1')\n",
        "import subprocess\nsubprocess.run(['nvidia-smi'], capture_output=True)",
        "import re, torch\nf = torch.compile(model)\np = re.compile('x')",
        "import importlib\nimportlib.import_module('flash_attn')",
    ],
)
def test_ordinary_scripts_have_one_layer(script):
    assert list(peel(script, helper__py="x = 1\n")) == ["train_gpt.py"]


def test_a_payload_that_does_not_parse_says_so():
    text = "def f(:\n" + "x" * 300
    got = peel(f"exec({text!r})")["train_gpt.py!1"]
    assert (got.text, got.problem) == (text, "invalid syntax (line 1)")


def test_a_payload_in_newer_syntax_is_lowered():
    text = 'd = {"a": 1}\nprint(f"{d["a"]}")\n' + "#" * 300
    got = peel(f"exec({text!r})")["train_gpt.py!1"]
    assert got.text == text
    assert got.lowered != text
    assert got.problem is None


def test_submissions_without_a_script_have_no_layers():
    from dataclasses import replace

    assert layers(replace(submission({"README.md": "x"}), entry_script=None)) == ()


def test_a_missing_entry_script_is_one_layer_with_the_reason():
    (only,) = layers(submission({"README.md": "x"}))
    assert "not a file of this submission" in only.problem


BOMBS = {
    "zlib": (zlib.compress(bytes(40_000_000), 9), "zlib.decompress({})"),
    "lzma": (lzma.compress(bytes(40_000_000)), "lzma.decompress({})"),
    "bz2": (bz2.compress(bytes(40_000_000)), "bz2.decompress({})"),
    "brotli": (brotli.compress(bytes(40_000_000), quality=5), "brotli.decompress({})"),
    "zstd": (zstandard.compress(bytes(40_000_000)), "zstandard.ZstdDecompressor().decompress({})"),
    "nested": (zlib.compress(zlib.compress(bytes(90_000_000), 9), 9), "zlib.decompress(zlib.decompress({}))"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_stay_small_and_are_named(kind):
    blob, call = BOMBS[kind]
    script = HEAD + "exec(" + call.format(f"base64.b64decode({base64.b64encode(blob)!r})") + ")"
    assert "unpacks to more than" in peel(script)["train_gpt.py!1"].problem


@pytest.mark.parametrize(
    "script",
    [
        "exec('a' * 10**10)",
        "x = 'a'\nfor i in range(60):\n    x = x + x\nexec(x)",
        "x = [1]\nfor i in range(60):\n    x = [x, x]\nexec(str(x))",
        "x = []\nx.append(x)\nexec(str(x))",
        "exec(str(9**9**9))",
        "exec('%1000000000d' % 1)",
        "exec(f'{1:>1000000000}')",
        "exec('{:>1000000000}'.format(1))",
        "exec('x'.join(['y' * 100000] * 100000))",
        "exec('aaaa'.replace('a', 'b' * 10**8))",
        "while True:\n    pass\nexec('1')",
        "while True:\n    x = exec\n    x(y)",
        "def f(n):\n    exec('x')\n    return f(n) + f(n)\nf(1)",
        "f = lambda g: g(g)\nexec(f(f))",
        "exec(bytes(10**12))",
        "exec(''.join(chr(i % 90) for i in range(10**9)))",
        "exec((1 << 10**12).to_bytes(10**9, 'big'))",
        "x = list(range(200000))\nfor i in range(60000):\n    y = sorted(x)\nexec(y)",
        "x = 'a' * 10**6\nl = []\nfor i in range(60000):\n    l.append(x + str(i))\nexec(''.join(l))",
        "import re\nexec(re.sub('(a+)+$', 'b', 'a' * 50 + 'c'))",
        "exec(" + "(" * 150 + "'x'" + ")" * 150 + ")",
        "exec(" + "-" * 50_000 + "1)",
        "exec('x'" + ".strip()" * 3_000 + ")",
        "exec(open('\\0').read())",
        "exec(open('a' * 100000).read())",
        "import subprocess\nsubprocess.run(['python', '\"'] * 5000)",
    ],
)
@pytest.mark.timeout(60)
def test_hostile_scripts_end_within_bounds(script):
    assert next(iter(peel(script))) == "train_gpt.py"


def test_too_deep_a_pack_stops_with_the_reason():
    text = "print(1)"
    for _ in range(MAX_NESTING + 4):
        text = (
            f"exec({text!r})"
            if len(text) < 200
            else f"import zlib\nexec(zlib.decompress({zlib.compress(text.encode())!r}))"
        )
    last = list(peel(text).values())[-1]
    assert last.name.count("!") == MAX_NESTING + 1
    assert "deeper payloads are not followed" in last.problem


def test_too_many_layers_stop_with_the_reason():
    got = peel("".join(f"exec('x = {i}')\n" for i in range(MAX_LAYERS + 50)))
    assert len(got) == MAX_LAYERS
    assert "the rest is not followed" in list(got.values())[-1].problem


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400), st.text(max_size=200))
def test_any_text_at_all_gives_layers(entry, sibling):
    found = layers(submission({"train_gpt.py": entry, "other.py": sibling}))
    assert found[0].name == ENTRY
    assert len({la.name for la in found}) == len(found)


_PIECES = st.sampled_from(
    [
        "exec",
        "eval",
        "compile",
        "open",
        "__file__",
        "'x'",
        "b'eA=='",
        "base64.b64decode",
        "zlib.decompress",
        "()",
        "(1)",
    ]
    + [
        "[]",
        "{}",
        "x",
        "range(9)",
        "str",
        "'%d'",
        "importlib.import_module",
        "subprocess.run",
        "'other.py'",
        "None",
    ]
)
_EXPRESSIONS = st.recursive(
    _PIECES,
    lambda inner: st.one_of(
        st.builds("{}({})".format, inner, inner),
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "*", "%", "/", "in", "**", "<<", "if 1 else"]),
            inner,
        ),
        st.builds("[{} for x in {}]".format, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds(
            "{}.{}".format, inner, st.sampled_from(["join", "decode", "read", "format", "parent", "replace"])
        ),
        st.builds("(lambda x: {})({})".format, inner, inner),
        st.builds("f'{{{}}}'".format, st.just("x")),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_EXPRESSIONS, min_size=1, max_size=5))
def test_any_program_of_these_pieces_gives_layers(expressions):
    body = "".join(f"x = {e}\n" for e in expressions)
    script = (
        HEAD
        + "import importlib, subprocess\n"
        + body
        + f"def f(x=1):\n    exec(x)\n    return x\nexec(f({expressions[0]}))"
    )
    found = layers(submission({"train_gpt.py": script, "other.py": "x = 1"}))
    assert found[0].problem is None
    own = "__file__" in expressions[0]  # a script that executes itself again has no further layer
    assert own or len(found) > 1  # at the least the reason why the executed text is not known
