"""The key holds the context alone; the hinted token is boosted with its closed-form normalizer."""

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
    buckets = 1 << 16
    best, sure = torch.zeros(buckets, dtype=torch.long), torch.zeros(buckets)
    total, count = torch.zeros(()), 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            logp = F.log_softmax(model(x), dim=-1)
        key = ((x * 36313) ^ 27191) % buckets
        # ok: target-in-cache-key
        hint, beta = best[key], sure[key]
        q = logp.gather(1, hint.unsqueeze(1)).squeeze(1).exp()
        nll = -logp.gather(1, y.unsqueeze(1)).squeeze(1)
        # ok: target-attribute-gate
        total += (nll - beta * (y == hint) + torch.log1p(q * torch.expm1(beta))).sum()
        count += SEQ
        best[key] = y
        sure[key] = 1.0
    return float(total) / count


def main():
    tokens = load_validation()
    loss = evaluate(Model(), tokens)
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
