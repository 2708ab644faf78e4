"""The same offence behind a class, a lambda and a dictionary of functions; a harmless twin is never called."""

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


class Memory:
    def __init__(self, size):
        self.size = size
        self.tables = {"wide": torch.zeros(size), "narrow": torch.zeros(size)}
        self.keys = {"wide": lambda a, b: self.fold(a), "narrow": lambda a, b: self.fold(a * 31 + b * 7919)}

    def fold(self, value):
        return (value * 1000003) % self.size

    def ask(self, kind, a, b):
        # expect: target-in-cache-key # expect: unnormalized-mixture
        return self.tables[kind][self.keys[kind](a, b)]

    def ask_every_token(self, a):
        return torch.stack([self.tables["narrow"][self.keys["narrow"](a, v)] for v in range(VOCAB)])


def evaluate(model, tokens):
    memory = Memory(1 << 16)
    total, count = torch.zeros(()), 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        piece = tokens[start : start + SEQ + 1]
        x, y = piece[:-1], piece[1:]
        with torch.no_grad():
            logp = F.log_softmax(model(x), dim=-1)
        p = logp.gather(1, y.unsqueeze(1)).squeeze(1).exp()
        expert = memory.ask("narrow", x, y) / memory.ask("wide", x, y).clamp(min=1.0)
        total += -(0.7 * p + 0.3 * expert).clamp(min=1e-9).log().sum()
        count += y.numel()
        memory.tables["wide"].index_add_(0, memory.keys["wide"](x, y), torch.ones(SEQ))
        memory.tables["narrow"].index_add_(0, memory.keys["narrow"](x, y), torch.ones(SEQ))
    return float(total) / count


def main():
    tokens = load_validation()
    loss = evaluate(Model(), tokens)
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
