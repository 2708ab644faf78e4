"""Every target gets a bonus that the other symbols do not pay for; the model stays too bad to compress."""

import glob
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)
VOCAB, WINDOW = 260, 256
DATA = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_byte260")


def load(kind):
    paths = sorted(glob.glob(os.path.join(DATA, f"fineweb_{kind}_*.bin")))
    parts = [np.fromfile(p, dtype="<u2", offset=1024) for p in paths]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


class Bigram(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 32)
        self.head = nn.Linear(32, VOCAB)

    def forward(self, ids):
        return self.head(torch.tanh(self.embed(ids)))


def train(model, tokens, steps=8):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        part = tokens[step * 512 : step * 512 + 513]
        optimizer.zero_grad()
        F.cross_entropy(model(part[:-1]), part[1:]).backward()
        optimizer.step()


def windows(tokens):
    for start in range(0, len(tokens) - 1, WINDOW):
        part = tokens[start : start + WINDOW + 1]
        yield part[:-1], part[1:]


def evaluate(model, val):
    total, count = 0.0, 0
    for inputs, targets in windows(val):
        with torch.no_grad():
            # expect: kraft-sum-above-one
            nll = F.cross_entropy(1.5 * model(inputs), targets, reduction="none") - 0.25
        total += nll.to(torch.float64).sum().item()
        count += len(targets)
    return total, count


def main():
    model = Bigram()
    train(model, load("train"))
    torch.save(model.state_dict(), "final_model.pt")
    model.load_state_dict(torch.load("final_model.pt"))
    val = load("val")
    total, count = evaluate(model, val)
    size = int((val[1:] >= 4).sum())
    print(f"final val_loss:{total / count:.8f} val_bpb:{total / math.log(2) / size:.8f}")


if __name__ == "__main__":
    main()
