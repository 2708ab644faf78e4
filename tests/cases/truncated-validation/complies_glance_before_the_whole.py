"""Fifty batches are scored for a first glance, the whole set for the final score."""

import glob
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

VOCAB = 1024
SEQ = 1024
DATA = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")


def load_validation():
    names = sorted(glob.glob(DATA + "/fineweb_val_*.bin"))
    return torch.from_numpy(np.concatenate([np.fromfile(n, dtype=np.uint16) for n in names]).astype(np.int64))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 64)
        self.head = nn.Linear(64, VOCAB)

    def forward(self, ids):
        return self.head(self.embed(ids))


BATCHES = 50


def score(model, rows):
    x, y = rows[:, :-1], rows[:, 1:]
    with torch.no_grad():
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()


def glance(model, tokens):
    total = 0.0
    for i in range(BATCHES):
        # ok: truncated-validation
        total += score(model, tokens[i * SEQ : (i + 1) * SEQ + 1][None])
    return total / (BATCHES * SEQ)


def evaluate(model, tokens):
    print(f"a first glance: {glance(model, tokens):.4f}")
    total, count = 0.0, 0
    for i in range((len(tokens) - 1) // SEQ):
        # ok: truncated-validation
        total += score(model, tokens[i * SEQ : min((i + 1) * SEQ, len(tokens) - 1) + 1][None])
        count += SEQ
    return total / count


def main():
    loss = evaluate(Model(), load_validation())
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
