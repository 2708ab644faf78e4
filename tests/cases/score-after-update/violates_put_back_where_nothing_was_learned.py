"""The parameters are put back only where no steps were taken: what the steps learned stays."""

import glob
import io
import lzma
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

VOCAB, SEQ = 1024, 256


def read_tokens(pattern):
    parts = [np.fromfile(name, dtype=np.uint16) for name in sorted(glob.glob(pattern))]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 64)
        self.head = nn.Linear(64, VOCAB)

    def forward(self, ids, delta=0.0):
        return self.head(self.embed(ids) + delta)


def train(model, tokens):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(100):
        x, y = tokens[step * SEQ : (step + 1) * SEQ], tokens[step * SEQ + 1 : (step + 1) * SEQ + 1]
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def save(model):
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    with open("model.ptz", "wb") as file:
        file.write(lzma.compress(buffer.getvalue()))


def load():
    with open("model.ptz", "rb") as file:
        state = torch.load(io.BytesIO(lzma.decompress(file.read())), weights_only=True)
    model = Model()
    model.load_state_dict(state)
    return model


def report(loss):
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


def charge(model, x, y):
    with torch.no_grad():
        return F.cross_entropy(model(x), y, reduction="sum")


def score_first(model, tokens, starts):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    total = torch.zeros(())
    for start in starts:
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        total += charge(model, x, y)
        F.cross_entropy(model(x), y).backward()
        # expect: score-after-update
        optimizer.step()
    return total


def evaluate(model, tokens, steps):
    learning = bool(steps > 0 and len(list(model.named_parameters())) > 0)
    kept = {n: p.detach().clone() for n, p in model.named_parameters()} if learning else {}
    starts = range(0, len(tokens) - SEQ - 1, SEQ)
    total, count = torch.zeros(()), len(starts) * SEQ
    try:
        if not learning:
            for start in starts:
                total += charge(model, tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1])
        else:
            total += score_first(model, tokens, starts)
    finally:
        if not learning:
            parameters = dict(model.named_parameters())
            with torch.no_grad():
                for n, saved in kept.items():
                    parameters[n].copy_(saved)
    return float(total / count)


def evaluate_unless_absent(model, tokens, rate):
    kept = [p.detach().clone() for p in model.parameters()]
    starts = range(0, len(tokens) - SEQ - 1, SEQ)
    total, count = torch.zeros(()), len(starts) * SEQ
    if rate is None:
        for start in starts:
            total += charge(model, tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1])
    else:
        total += score_first(model, tokens, starts)
    if rate is None:
        with torch.no_grad():
            for p, saved in zip(model.parameters(), kept):
                p.copy_(saved)
    return float(total / count)


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    train(model, read_tokens("data/fineweb_train_*.bin"))
    save(model)
    model = load()
    steps = len(glob.glob("data/fineweb_val_*.bin"))
    report(evaluate(model, tokens, steps))
    report(evaluate_unless_absent(model, tokens, steps if steps > 1 else None))
    report(evaluate(model, tokens, steps))


if __name__ == "__main__":
    main()
