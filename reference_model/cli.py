"""``python -m reference_model``: corpus, train, quantize, eval, export, encode, decode."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import sentencepiece as spm
import torch

from reference_model.artifact import save_artifact
from reference_model.codec import Scorer, compress_tokens, decompress_tokens
from reference_model.config import Config, config_from_env
from reference_model.corpus import write_default_dataset
from reference_model.data import validation_stream
from reference_model.export import Description, export_record, quick
from reference_model.model import GPT
from reference_model.pipeline import count_bytes, evaluate_artifact, quantize_model, run
from reference_model.ranks import Ranks, joined_ranks, own_place
from reference_model.stages import model_to_score, training_tokens
from reference_model.tokens import decode_stream
from reference_model.train import Trainer

CHECKPOINT = "checkpoint.pt"
EXPORT_SEEDS = (1337, 42, 2025)


def with_default_data(config: Config, root: Path) -> Config:
    """Point the configuration at the default corpus unless its data folder already exists."""
    if Path(config.data_path).exists():
        return config
    data, tokenizer = write_default_dataset(root, config.vocab_size)
    return dataclasses.replace(config, data_path=str(data), tokenizer_path=str(tokenizer))


def command_corpus(config: Config, options: argparse.Namespace) -> None:
    """Write the default corpus in the challenge's format."""
    data, tokenizer = write_default_dataset(Path(options.root), config.vocab_size)
    print(f"data: {data}\ntokenizer: {tokenizer}")


def command_run(config: Config, options: argparse.Namespace) -> None:
    """Train, quantize, load back and evaluate in one go, as the exported script does."""
    run(config, code="")


def command_train(config: Config, options: argparse.Namespace) -> None:
    """Train and save the raw weights."""
    with joined_ranks() as ranks:
        model = Trainer(config, ranks, training_tokens(config)).run(print)
        if ranks.is_master:
            torch.save(model.state_dict(), CHECKPOINT)
            print(f"wrote {CHECKPOINT}")


def load_checkpoint(config: Config, ranks: Ranks) -> GPT:
    """Return a model with the weights that ``train`` saved."""
    model = GPT(config).to(ranks.device)
    model.load_state_dict(torch.load(CHECKPOINT, map_location=ranks.device, weights_only=True))
    return model


def command_quantize(config: Config, options: argparse.Namespace) -> None:
    """Turn the raw weights into the artifact; one process does it, however many there are."""
    ranks = own_place()
    if not ranks.is_master:
        return
    packed = quantize_model(load_checkpoint(config, ranks), config)
    size = save_artifact(packed, config.artifact_path, config.compressor)
    print(f"wrote {config.artifact_path}: {size} bytes")


def command_eval(config: Config, options: argparse.Namespace) -> None:
    """Score the validation stream with what the artifact holds, and nothing else."""
    stream = validation_stream(config.data_path)
    size = count_bytes(config, stream, print)
    with joined_ranks() as ranks:
        score = evaluate_artifact(GPT(config), config, ranks, torch.from_numpy(stream), size)
    if ranks.is_master:
        print(f"val_loss:{score.val_loss:.8f} val_bpb:{score.val_bpb:.8f}")
        print(f"tokens:{score.tokens} bytes:{score.bytes}")


def command_export(config: Config, options: argparse.Namespace) -> None:
    """Write a record folder; its three logs come from running its own script."""
    about = Description(options.name, options.blurb)
    chosen = quick(config) if options.quick else config
    for result in export_record(chosen, about, Path(options.folder), EXPORT_SEEDS, print_now):
        print(f"seed {result.seed}: val_bpb {result.val_bpb:.8f}, {result.bytes_total} bytes")
    print(f"wrote {options.folder}; `golf-audit check {options.folder}` audits it")


def print_now(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def encode_sample(config: Config, coded: str, text: str, count: int) -> float:
    """Compress the first ``count`` validation tokens into ``coded``; return the bits claimed.

    The bytes that the tokens stand for go to ``text``, for comparison after decoding.
    """
    torch.set_num_threads(1)
    tokens = validation_stream(config.data_path)[:count]
    data, claimed = compress_tokens(scorer_from_artifact(config), tokens)
    Path(coded).write_bytes(data)
    tokenizer = spm.SentencePieceProcessor(model_file=config.tokenizer_path)
    Path(text).write_bytes(decode_stream(tokenizer, tokens))
    return claimed


def decode_sample(config: Config, coded: str, text: str) -> None:
    """Write the text behind ``coded`` to ``text``; needs the artifact and the tokenizer, no data."""
    torch.set_num_threads(1)
    tokens = decompress_tokens(scorer_from_artifact(config), Path(coded).read_bytes())
    tokenizer = spm.SentencePieceProcessor(model_file=config.tokenizer_path)
    Path(text).write_bytes(decode_stream(tokenizer, tokens))


def scorer_from_artifact(config: Config) -> Scorer:
    """Return the token-by-token scorer with the artifact's weights."""
    return Scorer(model_to_score(GPT(config), config, Ranks(0, 1, torch.device("cpu"))), config)


def command_encode(config: Config, options: argparse.Namespace) -> None:
    """Compress a sample of the validation text with the artifact's own distributions."""
    claimed = encode_sample(config, options.coded, options.text, options.tokens)
    size = 8 * Path(options.coded).stat().st_size
    print(f"claimed {claimed:.1f} bits, file {size} bits, ratio {size / claimed:.6f}")


def command_decode(config: Config, options: argparse.Namespace) -> None:
    """Restore the text from the compressed file and the artifact."""
    decode_sample(config, options.coded, options.text)
    print(f"wrote {options.text}")


COMMANDS: dict[str, Callable[[Config, argparse.Namespace], None]] = {
    "corpus": command_corpus,
    "run": command_run,
    "train": command_train,
    "quantize": command_quantize,
    "eval": command_eval,
    "export": command_export,
    "encode": command_encode,
    "decode": command_decode,
}


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line; every setting of the configuration is also an environment variable."""
    parser = argparse.ArgumentParser(prog="python -m reference_model", description=__doc__)
    parser.add_argument("--root", default="./data", help="where the default corpus is kept")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        sub = commands.add_parser(name, help=(function.__doc__ or "").splitlines()[0])
        if name == "export":
            sub.add_argument("folder")
            sub.add_argument("--quick", action="store_true", help="few steps: sooner, and a worse score")
            sub.add_argument("--name", default="Reference stack")
            sub.add_argument("--blurb", default="The reference stack of parameter-golf-audit.")
        if name in ("encode", "decode"):
            sub.add_argument("coded", help="the compressed file")
            sub.add_argument("text", help="where the text goes")
        if name == "encode":
            sub.add_argument("--tokens", type=int, default=16384)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command."""
    options = build_parser().parse_args(arguments)
    config = config_from_env()
    if options.command not in ("corpus", "decode"):
        config = with_default_data(config, Path(options.root))
    COMMANDS[options.command](config, options)
