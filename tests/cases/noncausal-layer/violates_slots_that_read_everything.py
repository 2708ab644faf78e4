"""Slots that are learned, not computed from the text, read the whole sequence; every position reads the slots."""

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


class Reading(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(64, 64) for _ in range(3))

    def forward(self, asking, told):
        # expect: noncausal-layer
        return F.scaled_dot_product_attention(self.query(asking), self.key(told), self.value(told))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 64)
        self.slots = nn.Parameter(torch.randn(8, 64))
        self.reading, self.writing = Reading(), Reading()
        self.head = nn.Linear(64, VOCAB)

    def around(self, states):
        slots = self.slots[None].expand(states.size(0), -1, -1)
        slots = slots + self.reading(slots, states)
        return states + 0.5 * self.writing(states, slots)

    def forward(self, ids):
        return self.head(self.around(self.embed(ids)))


def evaluate(model, tokens):
    total, count = torch.zeros(()), 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            total += F.cross_entropy(model(x[None])[0], y, reduction="sum")
        count += SEQ
    return float(total) / count


def main():
    loss = evaluate(Model(), load_validation())
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
