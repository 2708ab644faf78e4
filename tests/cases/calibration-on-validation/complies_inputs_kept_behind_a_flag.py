"""Inputs of a layer are kept for calibration only while a flag is set, and then on training tokens."""

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


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(64, 64)

    def forward(self, hidden):
        if getattr(self, "keeping", False):
            self.kept = hidden.detach()
        return hidden + self.mix(hidden)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 64)
        self.blocks = nn.ModuleList([Block() for _ in range(4)])
        self.head = nn.Linear(64, VOCAB)

    def forward(self, ids):
        hidden = self.embed(ids)
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(hidden)


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


def evaluate(model, tokens):
    total, count = torch.zeros(()), 0
    for start in range(0, len(tokens) - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            total += F.cross_entropy(model(x), y, reduction="sum")
        count += SEQ
    return float(total / count)


def report(loss):
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


def scale(model, tokens):
    for block in model.blocks:
        block.keeping = True
    total = torch.zeros(64)
    for start in range(0, 8 * SEQ, SEQ):
        model(tokens[start : start + SEQ])
        for block in model.blocks:
            total += block.kept.abs().mean(0)
    return total / 8


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    seen = read_tokens("data/fineweb_train_*.bin")
    train(model, seen)
    print(f"before val_loss:{evaluate(model, tokens):.4f}")
    state = model.state_dict()
    state["head.weight"] = state["head.weight"] * scale(model, seen)
    # ok: calibration-on-validation
    model.load_state_dict(state)
    save(model)
    report(evaluate(load(), tokens))


if __name__ == "__main__":
    main()
