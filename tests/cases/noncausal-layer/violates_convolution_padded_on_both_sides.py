"""Convolutions of different widths that keep the length by padding before and behind."""

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


class Compressor(nn.Module):
    def __init__(self, width, kernel, dilation):
        super().__init__()
        around = dilation * (kernel - 1) // 2
        self.mix = nn.Conv1d(
            width, width, kernel_size=kernel, padding=around, dilation=dilation, groups=width
        )
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x):
        y = x.transpose(1, 2)
        # expect: noncausal-layer
        y = self.mix(y)
        # ok: noncausal-layer
        y = self.point(y)
        return y.transpose(1, 2)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = Model()
        self.parts = nn.ModuleList([Compressor(64, k, d) for k, d in ((3, 1), (5, 2))])

    def forward(self, ids):
        x = self.base.embed(ids)[None]
        for part in self.parts:
            x = x + part(x)
        return self.base.head(x[0])


def evaluate(model, tokens):
    model = Network()
    total, count = torch.zeros(()), 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            total += F.cross_entropy(model(x), y, reduction="sum")
        count += SEQ
    return float(total) / count


def main():
    tokens = load_validation()
    loss = evaluate(Model(), tokens)
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
