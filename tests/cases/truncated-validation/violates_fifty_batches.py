"""The loop that scores ends after fifty batches, wherever the validation tokens end."""

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


def evaluate(model, tokens):
    total, count = 0.0, 0
    for i in range(BATCHES):
        first = i * 16 * SEQ
        if first + 16 * SEQ + 1 > len(tokens):
            break
        # expect: truncated-validation
        rows = torch.stack([tokens[first + j * SEQ : first + (j + 1) * SEQ + 1] for j in range(16)])
        x, y = rows[:, :-1], rows[:, 1:]
        with torch.no_grad():
            total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
        count += y.numel()
    return total / count


def main():
    loss = evaluate(Model(), load_validation())
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
