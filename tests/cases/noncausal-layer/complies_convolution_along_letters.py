"""A convolution over the letters of each token of the vocabulary: it runs along no sequence of the text."""

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


class Letters(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("letters", torch.randint(0, 26, (VOCAB, 8)))
        self.embed = nn.Embedding(26, 64)
        self.mix = nn.Conv1d(64, 64, kernel_size=3, padding=1)

    def forward(self):
        # ok: noncausal-layer
        return self.mix(self.embed(self.letters).transpose(1, 2)).mean(dim=2)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.spelled = Model(), Letters()

    def forward(self, ids):
        return self.base.head(self.base.embed(ids) + self.spelled()[ids])


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
