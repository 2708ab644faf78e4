"""A mixture that is no code is printed for comparison; the number that is claimed stands on another line."""

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


def losses(model, tokens):
    kept = np.zeros(len(tokens))
    for start in range(0, len(tokens) - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            kept[start : start + SEQ] = F.cross_entropy(model(x), y, reduction="none").numpy()
    return kept


def blended(kept, tokens):
    ids = tokens.numpy()
    tables = [{} for _ in range(5)]
    total = 0.0
    for i in range(len(ids) - 1):
        came, share = int(ids[i + 1]), 0.0
        for order in range(4, 0, -1):
            context = ids[i + 1 - order : i + 1].tobytes()
            if context in tables[order]:
                row = tables[order][context]
                # ok: unnormalized-mixture
                share = row.get(came, 0) / row[-1]
                break
        total -= math.log(0.7 * math.exp(-kept[i]) + 0.3 * share)
        for order in range(1, 5):
            row = tables[order].setdefault(ids[i + 1 - order : i + 1].tobytes(), {-1: 0})
            row[came] = row.get(came, 0) + 1
            row[-1] += 1
    return total / (len(ids) - 1)


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    train(model, read_tokens("data/fineweb_train_*.bin"))
    save(model)
    kept = losses(load(), tokens)
    other = blended(kept, tokens)
    print(f"with_counts val_loss:{other:.6f} val_bpb:{other / math.log(2.0):.6f}")
    report(float(kept.sum()) / len(kept))


if __name__ == "__main__":
    main()
