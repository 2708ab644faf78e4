"""Counts of windows already scored, at positions that are counted out from the window's start."""

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


def from_counts(model, tokens):
    ids = tokens.numpy()
    total, count = 0.0, 0
    seen, pairs = np.zeros(VOCAB), np.zeros((VOCAB, VOCAB))
    starts = list(range(0, len(tokens) - SEQ - 1, SEQ))
    for first in range(0, len(starts), 8):
        batch = starts[first : first + 8]
        x = torch.stack([tokens[start : start + SEQ] for start in batch])
        y = torch.stack([tokens[start + 1 : start + SEQ + 1] for start in batch])
        with torch.no_grad():
            logits = model(x)
        nll = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").reshape(len(batch), SEQ)
        for row, start in enumerate(batch):
            chance = np.exp(-nll[row].numpy())
            places = np.arange(start + 1, start + SEQ + 1)
            known = np.nonzero(places >= 2)[0]
            before, token = ids[places[known] - 1], ids[places[known]]
            smooth = (pairs[before, token] + 1) / (seen[before] + VOCAB)
            # ok: score-after-update
            # ok: rescored-validation
            chance[known] = 0.9 * chance[known] + 0.1 * smooth
            np.add.at(pairs, (before, token), 1)
            np.add.at(seen, before, 1)
            total += float(-np.log(chance).sum())
        count += SEQ * len(batch)
    return total / count


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    train(model, read_tokens("data/fineweb_train_*.bin"))
    save(model)
    model = load()
    report(from_counts(model, tokens))


if __name__ == "__main__":
    main()
