"""A byte model's products are made for every token of the vocabulary and divided by their sum."""

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


def along(table, history, text):
    total = 0.0
    for byte in text:
        row = table.get(history, {})
        # ok: byte-path-mixture
        total += math.log((row.get(byte, 0) + 1) / (sum(row.values()) + 256))
        history = (history + bytes([byte]))[-3:]
    return total


def learn(table, history, text):
    for byte in text:
        row = table.setdefault(history, {})
        row[byte] = row.get(byte, 0) + 1
        history = (history + bytes([byte]))[-3:]
    return history


def mixed_bits(tokenizer, targets, logps):
    pieces = [tokenizer.id_to_piece(i).replace("\u2581", " ").encode() for i in range(VOCAB)]
    table, history = {}, b""
    nats, count = 0.0, 0
    for target, logp in zip(targets, logps):
        expert = np.array([math.exp(along(table, history, piece)) for piece in pieces])
        expert = expert / expert.sum()
        nats -= math.log(0.9 * math.exp(logp) + 0.1 * expert[target])
        history = learn(table, history, pieces[target])
        count += len(pieces[target])
    return nats / math.log(2.0) / count


def evaluate(model, tokens, tokenizer):
    targets, logps = [], []
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            nll = F.cross_entropy(model(x), y, reduction="none")
        targets.extend(y.tolist())
        logps.extend((-nll).tolist())
    return mixed_bits(tokenizer, targets, logps)


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="data/tokenizer.model")
    print(f"final val_bpb:{evaluate(Model(), load_validation(), tokenizer):.6f}")


if __name__ == "__main__":
    main()
