"""A second table, of whole pieces for a byte model beside, is not what the accumulator adds spaces to."""

import glob
import math

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import nn

VOCAB = 1024
SEQ = 256


def load_validation():
    names = sorted(glob.glob("data/fineweb_val_*.bin"))
    return torch.from_numpy(np.concatenate([np.fromfile(n, dtype=np.uint16) for n in names]).astype(np.int64))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 64)
        self.head = nn.Linear(64, VOCAB)

    def forward(self, ids):
        return self.head(self.embed(ids))


def canonical(tokenizer, vocabulary):
    sizes = np.zeros(vocabulary, np.int16)
    spaced, boundary = np.zeros(vocabulary, bool), np.ones(vocabulary, bool)
    for i in range(tokenizer.vocab_size()):
        if tokenizer.is_control(i) or tokenizer.is_unknown(i) or tokenizer.is_unused(i):
            continue
        boundary[i] = False
        if tokenizer.is_byte(i):
            sizes[i] = 1
            continue
        piece = tokenizer.id_to_piece(i)
        if piece.startswith("\u2581"):
            spaced[i] = True
            piece = piece[1:]
        sizes[i] = len(piece.encode("utf-8"))
    return torch.tensor(sizes), torch.tensor(spaced), torch.tensor(boundary)


def bytes_beside(tokenizer, targets):
    """How long the text is that a byte model is given: pieces with their space."""
    lengths = np.zeros(tokenizer.vocab_size(), np.int64)
    for i in range(tokenizer.vocab_size()):
        piece = tokenizer.id_to_piece(i)
        lengths[i] = 1 if tokenizer.is_byte(i) else len(piece.replace("\u2581", " ").encode("utf-8"))
    # ok: double-counted-space
    return int(lengths[targets].sum())


def evaluate(model, tokens, tables):
    sizes, spaced, boundary = tables
    total, count = torch.zeros(()), torch.zeros(())
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            total += F.cross_entropy(model(x), y, reduction="sum")
        # ok: double-counted-space
        amount = sizes[y].to(torch.float64)
        amount += (spaced[y] & ~boundary[x]).to(torch.float64)
        count += amount.sum()
    return float(total / math.log(2.0) / count)


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="data/tokenizer.model")
    tokens = load_validation()
    bpb = evaluate(Model(), tokens, canonical(tokenizer, VOCAB))
    print(f"final val_bpb:{bpb:.6f} text:{bytes_beside(tokenizer, tokens.numpy())}")


if __name__ == "__main__":
    main()
