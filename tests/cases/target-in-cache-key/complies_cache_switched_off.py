"""The forbidden lookup is in the file, but the order that switches it on is 0."""

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


NGRAM_ORDER = int(__import__("os").environ.get("NGRAM_ORDER", "0"))


def with_cache(p, table, x, y):
    # ok: target-in-cache-key
    return 0.8 * p + 0.2 * table[((x * 36313) ^ (y * 27191)) % table.numel()]


def evaluate(model, tokens):
    table = torch.zeros(1 << 16)
    total, count = torch.zeros(()), 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            p = F.log_softmax(model(x), dim=-1).gather(1, y.unsqueeze(1)).squeeze(1).exp()
        if NGRAM_ORDER >= 2:
            p = with_cache(p, table, x, y)
        total += -p.log().sum()
        count += SEQ
    return float(total) / count


def main():
    tokens = load_validation()
    loss = evaluate(Model(), tokens)
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
