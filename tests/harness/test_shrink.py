"""Knobs are found by reading, and only what tells a size is lowered."""

import ast

import pytest

from harness.discover import discover, literal
from harness.facade.sources import SetConstants
from harness.knobs import Knob, Via
from harness.shrink import divides_by_progress, shrink
from harness.unpack import Layer

SCRIPT = """
import os, argparse
SEQ_LEN = 2048
NAME = "SEQ_LEN"
def env_int(name, default): return int(os.environ.get(name, default))
class Hyperparameters:
    iterations = int(os.environ.get("ITERATIONS", 20_000))
    train_batch_tokens = env_int("TRAIN_BATCH_TOKENS", 2048 * 48 * 8)
    model_dim: int = 768
    lr = float(os.environ.get("MATRIX_LR", 0.04))
    ttt = os.environ["TTT_EPOCHS"]
    stride = os.environ.get("EVAL_STRIDE", "0")
class Block(nn.Module):
    model_dim = 4096
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--warmup-steps", type=int, default=20)
    parser.add_argument("--fast", action="store_true")
    NUM_HEADS = 3
    hessians = collect_hessians(model, loader, num_batches=256)
NUM_HEADS = 12
"""


def layers(text=SCRIPT):
    return [Layer("a.py", "a.py", text, text)]


@pytest.fixture(scope="module")
def knobs():
    return {k.name: k for k in discover(layers())}


def test_every_kind_of_knob_is_found(knobs):
    assert knobs["ITERATIONS"].default == 20000
    assert knobs["TRAIN_BATCH_TOKENS"].default == 786432
    assert knobs["TTT_EPOCHS"].default is None
    assert knobs["--warmup-steps"].via is Via.ARGUMENT
    assert knobs["Hyperparameters.model_dim"].via is Via.CONSTANT
    assert knobs["SEQ_LEN"].default == 2048
    assert knobs["collect_hessians(num_batches)"].via is Via.LITERAL


def test_modules_and_flags_are_no_knobs_and_a_local_is_one_of_its_function(knobs):
    assert "Block.model_dim" not in knobs
    assert "--fast" not in knobs
    assert knobs["NUM_HEADS"].default == 12
    assert knobs["main.NUM_HEADS"].default == 3


def test_the_total_of_an_entropy_coder_is_no_length():
    coder = "def encode(symbols):\n    T = 65536\n    SEQ_LEN = 2048\n"
    assert shrink(discover(layers(coder)), {}).constants == {"encode.SEQ_LEN": 128}
    assert shrink(discover(layers("T = 65536\n")), {}).constants == {"T": 128}


def test_sizes_are_lowered_and_recorded_and_the_rest_is_left_alone(knobs):
    result = shrink(knobs.values(), {"MATRIX_LR": "0.02", "ITERATIONS": "9000"})
    assert result.env["ITERATIONS"] == "4"
    assert result.changed["ITERATIONS"] == "4 (was 20000)"
    assert result.env["MATRIX_LR"] == "0.02"
    assert "MATRIX_LR" not in result.changed
    assert "EVAL_STRIDE" not in result.changed  # zero means off
    assert result.argv == ["--warmup-steps", "1"]
    assert result.constants["SEQ_LEN"] == 128
    assert result.constants["collect_hessians(num_batches)"] == 4


def test_the_width_fits_the_heads(knobs):
    assert shrink(knobs.values(), {}).constants["Hyperparameters.model_dim"] == 192


def test_a_width_divided_by_three_before_its_heads_and_other_sizes_stay_divisible():
    sizes = {"MODEL_DIM": 552, "NUM_HEADS": 4, "BIGRAM_DIM": 120}
    found = discover(layers("\n".join(f"os.environ.get('{name}', {size})" for name, size in sizes.items())))
    lowered = shrink(found, {}, multiples={"MODEL_DIM": 3, "BIGRAM_DIM": 3}).values
    assert lowered == {"MODEL_DIM": 192, "BIGRAM_DIM": 66}
    assert shrink(found, {}).values == {"MODEL_DIM": 128, "BIGRAM_DIM": 64}


def test_claimed_arguments_stand_on_the_command_line_at_lowered_sizes(knobs):
    result = shrink(knobs.values(), {"--fast": "", "--warmup-steps": "9", "MATRIX_LR": "0.5"})
    assert result.argv == ["--fast", "--warmup-steps", "1"]
    assert "--fast" not in result.env


@pytest.mark.parametrize(("rotates", "then"), [("64", 16), ("16", None), ("0", None)])
def test_no_more_of_a_head_rotates_than_there_is(rotates, then):
    text = "\n".join(
        f"os.environ.get('{name}', {size})"
        for name, size in {"MODEL_DIM": 512, "NUM_HEADS": 8, "ROPE_DIMS": 32}.items()
    )
    result = shrink(discover(layers(text)), {"ROPE_DIMS": rotates})
    assert (result.values["MODEL_DIM"], result.values.get("ROPE_DIMS")) == (128, then)


def test_heads_that_an_option_leaves_open_are_those_of_the_configuration():
    found = [
        Knob(Via.ARGUMENT, "--num_heads"),
        Knob(Via.CONSTANT, "Config.num_heads", 12),
        Knob(Via.CONSTANT, "Config.d_model", 768),
    ]
    assert shrink(found, {}).constants == {"Config.d_model": 192}


def test_the_widths_of_two_streams_each_fit_their_own_heads():
    sizes = {"LOCAL_DIM": 512, "LOCAL_HEADS": 3, "GLOBAL_DIM": 768, "GLOBAL_HEADS": 16, "MLA_LATENT_DIM": 384}
    text = "\n".join(f"os.environ.get('{name}', {size})" for name, size in sizes.items())
    assert shrink(discover(layers(text)), {}).values == {
        "LOCAL_DIM": 144,
        "GLOBAL_DIM": 256,
        "MLA_LATENT_DIM": 64,
    }


@pytest.mark.parametrize(
    ("line", "divides"),
    [
        ("if step % args.val_loss_every == 0 or last:", True),
        ("if args.val_loss_every > 0 and step % args.val_loss_every == 0:", False),
        ("x = (VAL_EVERY > 0\n     and step % VAL_EVERY == 0)", False),
        ("if step % args.save_every == 0:", False),
    ],
)
def test_an_interval_that_divides_unasked_is_seen(line, divides):
    assert divides_by_progress(layers(line)) is divides


@pytest.mark.parametrize(("own", "batch"), [((), "1024 (was 786432)"), (("SEQ_LEN",), "16384 (was 786432)")])
def test_a_batch_holds_a_sequence_for_every_micro_step(knobs, own, batch):
    assert shrink(knobs.values(), {}, own=own).changed["TRAIN_BATCH_TOKENS"] == batch


def test_validation_that_begins_again_at_its_end_is_made_short():
    assert shrink([Knob(Via.ENVIRONMENT, "VAL_TOKENS", 10_485_760)], {}).env == {"VAL_TOKENS": "4096"}
    assert shrink([Knob(Via.ENVIRONMENT, "VAL_TOKENS", 0)], {}).env == {}  # all of them


def test_a_batch_grows_with_micro_steps_that_only_a_failure_tells():
    text = "\n".join(
        f"os.environ.get('{name}', {size})"
        for name, size in {
            "TRAIN_BATCH_TOKENS": 786432,
            "TRAIN_SEQ_LEN": 2048,
            "VAL_BATCH_SIZE": 2048,
        }.items()
    )
    assert shrink(discover(layers(text)), {}).values["TRAIN_BATCH_TOKENS"] == 1024
    assert shrink(discover(layers(text)), {}, batch=4).values["TRAIN_BATCH_TOKENS"] == 4096


@pytest.mark.parametrize(
    "text",
    [
        "def small():\n    return dict(model_dim=512, num_heads=4, a=1, b=2, c=3, d=4)",
        "CONFIGS = {'s': {'model_dim': 512, 'num_heads': 4, 'a': 1, 'b': 2, 'c': 3, 'd': 4}}",
    ],
)
def test_a_model_described_by_a_dictionary_is_made_narrow(text):
    result = shrink(discover(layers(text)), {})
    assert result.constants == {"dict(model_dim)": 128}
    changed = ast.unparse(SetConstants(result.constants).visit(ast.parse(text)))
    assert "128" in changed
    assert "512" not in changed


CONFIGURED = """
class Config:
    T: int = 2048
class Net(nn.Module):
    pass
def small():
    return Config(T=1024, n_embd=512, n_head=4, lr=0.1, seed=1337, steps=0)
net = Net(T=1024, n_embd=512, n_head=4, a=1, b=2, c=3)
"""


def test_a_configuration_made_by_a_call_is_made_small_and_a_module_is_left_alone():
    result = shrink(discover(layers(CONFIGURED)), {})
    assert result.constants == {"Config.T": 128, "Config(T)": 128, "Config(n_embd)": 128}
    changed = ast.unparse(SetConstants(result.constants).visit(ast.parse(CONFIGURED)))
    assert "Config(T=128, n_embd=128, n_head=4, lr=0.1, seed=1337, steps=0)" in changed
    assert "Net(T=1024, n_embd=512" in changed


CONSTRUCTED = """
class Net(nn.Module):
    def __init__(self, vocab=1024, model_dim=512, num_heads=6, ve_dim=128, depth=11):
        self.proj = torch.cat([a, b], dim=1)
def make():
    return Net(vocab=1024, model_dim=512, num_heads=6)
"""


def test_a_width_that_only_a_constructor_tells_is_made_small():
    result = shrink(discover(layers(CONSTRUCTED)), {})
    changed = ast.unparse(SetConstants(result.constants).visit(ast.parse(CONSTRUCTED)))
    assert "def __init__(self, vocab=1024, model_dim=192, num_heads=6, ve_dim=64, depth=11)" in changed
    assert "Net(vocab=1024, model_dim=192, num_heads=6)" in changed
    assert "dim=1)" in changed
    told = CONSTRUCTED + "MODEL_DIM = 512\n"
    assert shrink(discover(layers(told)), {}).constants == {"MODEL_DIM": 128}


def test_lengths_of_an_evaluation_are_made_short_in_a_dictionary():
    text = "conf = {'eval_stride': 128, 'seq_len': 2048, 'a': 1, 'b': 2, 'c': 3, 'd': 4}"
    assert shrink(discover(layers(text)), {}).constants == {"dict(eval_stride)": 64, "dict(seq_len)": 128}


def test_short_dictionaries_and_what_tells_no_size_of_a_model_are_left_alone():
    text = "f(dict(model_dim=512), {'stride': 4096, 'dim': 512}, dict(stride=4096, a=1, b=2, c=3, d=4, e=5))"
    assert not shrink(discover(layers(text)), {}).constants


def test_an_evaluation_takes_its_windows_in_several_batches():
    text = (
        "def eval_val_cache(model, stride=64, batch_seqs=32): pass\n"
        "eval_val_ttt(m, chunk_tokens=32768)\n"
        "def train(batch_seqs=32): pass"
    )
    result = shrink(discover(layers(text)), {})
    assert result.constants == {"eval_val_cache(batch_seqs)": 8, "eval_val_ttt(chunk_tokens)": 1024}


def test_generated_calibration_is_short_where_its_length_is_a_local():
    text = "def generate_ar_calibration(model):\n    seq_len = 512\ndef evaluate(model):\n    seq_len = 512\n"
    assert shrink(discover(layers(text)), {}).constants == {"generate_ar_calibration.seq_len": 128}


def test_generated_calibration_is_short_even_where_its_length_is_computed():
    text = (
        "x = generate_autoregressive_calib(m, num_seqs=64, seq_len=args.train_seq_len)\n"
        "y = evaluate(seq_len=args.n)"
    )
    result = shrink(discover(layers(text)), {})
    assert result.constants["generate_autoregressive_calib(seq_len)"] == 48
    tree = SetConstants(result.constants).visit(ast.parse(text))
    assert ast.unparse(tree) == (
        "x = generate_autoregressive_calib(m, num_seqs=4, seq_len=48)\ny = evaluate(seq_len=args.n)"
    )


@pytest.mark.parametrize(
    ("own", "claimed", "chunk"),
    [
        (32768, {}, 128),  # of sequences, of which one is left
        (48, {}, 32),  # of documents, shorter than a sequence
        (32768, {"TTT_CHUNK_SIZE": "64"}, 32),
        (48, {"TTT_CHUNK_SIZE": "65536"}, 128),
    ],
)
def test_a_chunk_of_sequences_holds_one(own, claimed, chunk):
    length = Knob(Via.ENVIRONMENT, "TRAIN_SEQ_LEN", 1024)
    result = shrink([length, Knob(Via.ENVIRONMENT, "TTT_CHUNK_SIZE", own)], claimed)
    assert result.env == {"TRAIN_SEQ_LEN": "128", "TTT_CHUNK_SIZE": str(chunk)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIDECAR_SEQ_LEN", 128),
        ("BATCH_SIZE_PER_GPU", 8),
        ("REFINE_BATCH_SEQS", 8),
        ("REFINE_BATCH_TOKENS", 2048),
        ("TRAIN_BATCH_TOKENS", 1024),  # a name of its own comes before a pattern
        ("INT5_HESSIAN_SAMPLES", 2),
        ("TOTAL_BATCH", 1024),
        ("D_INNER", 256),
        ("CORE_RANK", 32),
        ("TTT_LORA_RANK", 8),  # a name of its own comes before a pattern
        ("MLP_HIDDEN", 512),
        ("SSM_D_STATE", 16),
        ("NUM_EVAL_RECURRENCES", 2),
        ("MIXER_KERNEL", 32),
        ("TRAIN_MICROBATCH_TOKENS", 128),
        ("TOK_PER_RANK", 1024),
        ("TRAIN_TOKENS_PER_GPU", 1024),
        ("BATCH_RAMP_START", 1024),
        ("GPTQ_GEN_LEN", 48),
        ("LATE_DISTILL_STEPS", 4),
        ("SLOT_LBFGS_MAX_ITER", 3),
        ("PREQ_TTT_CHUNK_SIZE", 1024),
        ("TTT_CHUNK_SIZE", 32),  # of documents side by side
        ("BIGRAM_DIM", 64),  # below, scripts leave its projection at zero
        ("GPTQ_AR_NUM_SEQS", 2),
        ("ENC_EPOCHS", 2),
        ("KV_EVAL_MAX_TOKENS", 512),
        ("MICRO_TTT_STEPS", 2),
        ("OWN_TTT_TRAILING_SEQS", 2),
        ("TTT_NS_STEPS", None),  # of an optimizer's iteration
        ("NCA_STEPS", 2),
        ("GRAD_ACCUM_STEPS", None),
        ("SEQ_LEN_SCALE", None),
        ("USE_CUDA_GRAPHS", 0),
        ("CUDA_GRAPH_WARMUP", None),
    ],
)
def test_sizes_are_known_by_name_or_pattern(name, value):
    changed = shrink([Knob(Via.ENVIRONMENT, name, 4096)], {}).env
    assert changed == ({} if value is None else {name: str(value)})


@pytest.mark.parametrize(
    ("name", "own", "small"),
    [
        ("TRAIN_SEQ_SCHEDULE", "1024@0.100,2048@0.700,3072@1.000", "32@0.100,64@0.700,128@1.000"),
        ("PROGRESSIVE_SEQ_SCHEDULE", "0:512,0.35:1024,0.7:3072", "0:16,0.35:32,0.7:128"),
        ("SEQ_LENS_PER_GPU", "796,3072", "32,128"),
        ("SEQ_CURRICULUM", "1", None),
        ("NUM_LAYER_SCHEDULE", "0:2,2000:6", None),
    ],
)
def test_lengths_in_a_list_shrink_with_the_length(name, own, small):
    """Scripts insist that the longest of a schedule is the length that they train at."""
    read = f'import os\nl = int(os.environ.get("TRAIN_SEQ_LEN", 1024))\ns = os.environ.get("{name}", "")\n'
    claimed = {"TRAIN_SEQ_LEN": "3072", name: own}
    knobs = discover(layers(read))
    found = shrink(knobs, claimed).values
    assert (found["TRAIN_SEQ_LEN"], found.get(name)) == (128, small)
    assert name not in shrink(knobs, claimed, keep=("length",)).changed


def test_an_interval_of_validation_is_off_or_as_given():
    found = discover(layers('import os\nv = int(os.environ.get("VAL_LOSS_EVERY", 500))'))
    assert shrink(found, {}).env == {"VAL_LOSS_EVERY": "0"}
    assert shrink(found, {}, caps={"progress": 4}).env == {"VAL_LOSS_EVERY": "4"}


def test_a_micro_batch_in_tokens_holds_one_sequence():
    found = [Knob(Via.ENVIRONMENT, "SEQ_LEN", 512), Knob(Via.ENVIRONMENT, "MICROBATCH_TOKENS", 0)]
    assert shrink(found, {"MICROBATCH_TOKENS": "4096"}).env["MICROBATCH_TOKENS"] == "128"
    kept = shrink(found, {"MICROBATCH_TOKENS": "4096"}, keep=["length"])
    assert kept.env["MICROBATCH_TOKENS"] == "512"


def test_what_is_set_on_a_class_after_it_is_lowered():
    text = "class H:\n    warmup_steps = int(env('W', 1))\nH.warmup_steps = 20\nH.lr = 0.1\n"
    text += "def main():\n    H.warmup_steps = 30\n"
    found = shrink(discover(layers(text)), {})
    assert found.constants == {"H.warmup_steps": 1}
    tree = SetConstants(found.constants).visit(ast.parse(text))
    assert [ast.unparse(node) for node in tree.body[1:3]] == ["H.warmup_steps = 1", "H.lr = 0.1"]
    assert ast.unparse(tree.body[3].body[0]) == "H.warmup_steps = 30"


@pytest.mark.parametrize(
    ("name", "small"), [("TRAIN_SEQ_LEN", 128), ("TRAIN_BATCH_TOKENS", 1024), ("EVAL_SEQ_LEN", None)]
)
def test_zero_tokens_of_training_are_as_many_as_the_machine_holds(name, small):
    text = f'import os\nn = int(os.environ.get("{name}", 0))  # 0: automatic\n'
    assert shrink(discover(layers(text)), {}).values.get(name) == small


def test_a_longer_run_has_more_steps_and_no_more_of_anything_else():
    text = (
        'import os\na = int(os.environ.get("ITERATIONS", 20000))\nb = int(os.environ.get("WARMUP_STEPS", 20))'
    )
    found = discover(layers(text))
    assert shrink(found, {}).env == {"ITERATIONS": "4", "WARMUP_STEPS": "1"}
    assert shrink(found, {}, caps={"steps": 32}).env == {"ITERATIONS": "32", "WARMUP_STEPS": "1"}


def test_single_knobs_can_be_kept(knobs):
    kept = shrink(knobs.values(), {}, own=("ITERATIONS",))
    assert "ITERATIONS" not in kept.changed
    assert "SEQ_LEN" in kept.changed


def test_groups_can_be_kept(knobs):
    kept = shrink(knobs.values(), {}, keep=("model",))
    assert "Hyperparameters.model_dim" not in kept.constants
    assert kept.env["ITERATIONS"] == "4"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000),
        ("-2", -2),
        ("2 * 3 * 4", 24),
        ("1 << 20", 1 << 20),
        ("2 ** 10", 1024),
        ("int('8')", "8"),
        ("str(config.get('width', 512))", 512),
        ("config.pop('width', 512)", None),
        ("f()", None),
        ("9 ** 9 ** 9", None),
        ("1 << 10 ** 9", None),
        ("x", None),
    ],
)
def test_literals(text, value):
    assert literal(ast.parse(text, mode="eval").body) == value


def test_setting_constants_keeps_every_line_in_place():
    tree = SetConstants({"SEQ_LEN": 16, "collect_hessians(num_batches)": 1}).visit(ast.parse(SCRIPT))
    before = [n.lineno for n in ast.walk(ast.parse(SCRIPT)) if isinstance(n, ast.stmt)]
    assert [n.lineno for n in ast.walk(tree) if isinstance(n, ast.stmt)] == before
    text = ast.unparse(tree)
    assert "SEQ_LEN = 16" in text
    assert "num_batches=1" in text
    assert "model_dim = 4096" in text


IN_MAIN = """
BATCH_SIZE = 64 if DEVICE == "cuda" else 32
def main():
    SEQ_LEN = 2048
    TEMPERATURE = 900
    seq_len = 2048
    for step in range(1000):
        loss(SEQ_LEN).backward(); optimizer.step()
    for epoch in range(1, 501):
        loss().backward(); optimizer.step()
    for step in range(700):
        total += score(step)
    for step in range(12):
        loss().backward(); optimizer.step()
"""


def test_sizes_that_a_function_sets_for_itself_and_steps_in_the_head_of_a_loop_are_lowered():
    made = shrink(discover(layers(IN_MAIN)), {})
    assert made.changed == {
        "BATCH_SIZE": "8 (was 64)",
        "main.SEQ_LEN": "128 (was 2048)",
        "range(step=1000)": "4 (was 1000)",
        "range(epoch=501)": "4 (was 501)",
    }
    lines = ast.unparse(SetConstants(made.constants).visit(ast.parse(IN_MAIN))).splitlines()
    heads = [line.strip() for line in lines if " = " in line or "range" in line]
    assert heads == [
        "BATCH_SIZE = 8",
        "SEQ_LEN = 128",
        "TEMPERATURE = 900",
        "seq_len = 2048",
        "for step in range(4):",
        "for epoch in range(1, 4):",
        "for step in range(700):",
        "for step in range(12):",
    ]


TAKES = """
def main():
    held = loader.stream.take(65536).to(device)
    chunk = loader.stream.take(span * world)
    few = loader.stream.take(512)
    first = rows.take(99999, axis=0)
"""


def test_a_number_of_tokens_written_into_the_call_that_takes_them_is_lowered():
    made = shrink(discover(layers(TAKES)), {})
    assert made.changed == {"take(65536)": "2048 (was 65536)"}
    text = ast.unparse(SetConstants(made.constants).visit(ast.parse(TAKES)))
    assert text.strip() == TAKES.replace("65536", "2048").strip()


QUANTIZES = """
KEEP_FLOAT_MAX_NUMEL = 65_536
if not t.is_floating_point() or t.numel() <= 65536: pass
if 32 <= t.numel() <= 8192: pass
if skip.numel() > 0 or t.numel() <= KEEP_FLOAT_MAX_NUMEL or len(t) > 70000: pass
"""


def test_narrow_matrices_are_quantized_as_wide_ones_would_be():
    """At a quarter of the width most matrices have fewer elements than a script quantizes."""
    found = discover(layers(QUANTIZES))
    made = shrink(found, {})
    assert made.changed == {
        "KEEP_FLOAT_MAX_NUMEL": "4096 (was 65536)",
        "numel(65536)": "4096 (was 65536)",
        "numel(8192)": "4096 (was 8192)",
    }
    lines = ast.unparse(SetConstants(made.constants).visit(ast.parse(QUANTIZES))).splitlines()
    assert [line for line in lines if line.startswith(("KEEP", "if"))] == [
        "KEEP_FLOAT_MAX_NUMEL = 4096",
        "if not t.is_floating_point() or t.numel() <= 4096:",
        "if 32 <= t.numel() <= 4096:",
        "if skip.numel() > 0 or t.numel() <= KEEP_FLOAT_MAX_NUMEL or len(t) > 70000:",
    ]
    assert shrink(found, {}, keep=("model",)).changed == {}
