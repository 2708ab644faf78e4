"""A score that is kept in a record with its counts, and printed from there: its bytes were counted."""

import glob
import math
import os
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

VOCAB = 1024
SEQ = 256
DATA = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_retokenized")


@dataclass(frozen=True)
class Result:
    loss: float
    bpb: float
    size: int


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


def evaluate(model, tokens, lengths):
    total, count, size = 0.0, 0, 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            total += F.cross_entropy(model(x), y, reduction="sum").item()
        count += y.numel()
        size += int(lengths[y].sum())
    return Result(total / count, total / math.log(2.0) / size, size)


def main():
    lengths = torch.from_numpy(np.fromfile(DATA + "/lengths.bin", dtype=np.uint8).astype(np.int64))
    result = evaluate(Model(), load_validation(), lengths)
    # ok: wrong-byte-count
    print(f"final val_loss:{result.loss:.6f} val_bpb:{result.bpb:.6f}")


if __name__ == "__main__":
    main()
