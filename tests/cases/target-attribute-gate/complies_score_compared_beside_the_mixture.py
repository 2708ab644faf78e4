"""Scores of targets are compared with constants, but what is mixed in does not hang on the comparison."""

import glob
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

VOCAB, SEQ, WEIGHT = 1024, 256, 0.3


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
    table, total, count = torch.full((VOCAB, VOCAB), 0.01), torch.zeros(()), 0
    hard, last, weight = 0, 0.0, WEIGHT
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            logp = F.log_softmax(model(x), dim=-1)
        rows = table[x]
        whole = rows / rows.sum(-1, keepdim=True)
        sure = logp.exp().amax(dim=-1)
        # ok: target-attribute-gate
        sharp = torch.where(sure < 0.5, weight, 0.0).unsqueeze(-1)
        mixed = (1 - sharp) * logp.exp() + sharp * whole
        # ok: target-attribute-gate
        if last > 3.0:
            mixed = 0.5 * logp.exp() + 0.5 * whole
        own = mixed.gather(1, y.unsqueeze(1)).squeeze(1)
        # ok: target-attribute-gate
        nll = -torch.log(torch.where(own < 1e-9, 1e-9, own))
        # ok: target-attribute-gate
        hard += int((nll > 5.0).sum())
        total += nll.sum()
        count += SEQ
        last = float(nll.mean())
        # ok: target-attribute-gate
        if last > 4.0:
            weight = min(0.9, weight * 1.01)
        table.index_put_((x, y), torch.ones(SEQ), accumulate=True)
    print(f"hard positions: {hard}")
    return float(total) / count


def capped(model, tokens):
    total, count = 0.0, 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            losses = F.cross_entropy(model(x), y, reduction="none").tolist()
        for loss in losses:
            # ok: target-attribute-gate
            if loss > 12.0:
                loss = 12.0 + math.log(loss - 11.0)
            total += loss
        count += SEQ
    return total / count


def main():
    model, tokens = Model(), load_validation()
    print(f"final val_bpb:{evaluate(model, tokens):.6f}")
    print(f"final val_bpb:{capped(model, tokens):.6f}")


if __name__ == "__main__":
    main()
