"""The likeliest token after the words before is raised, and the distribution divided by its new sum."""

import glob
import io
import lzma
import math
from collections import deque

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


class LikeliestNext:
    """After the first tokens of the words before, the token that followed most often."""

    def __init__(self, starts):
        self.starts = starts
        self.words = deque(maxlen=3)
        self.open = []
        self.total, self.pairs = {}, {}
        self.best, self.best_count = {}, {}

    def read(self, came):
        if self.starts[came] and self.open:
            self.words.append(self.open[0])
            self.open = []
        self.open.append(came)

    def propose(self, ids):
        hints = np.zeros(len(ids), dtype=np.int64)
        shares = np.zeros(len(ids), dtype=np.float32)
        for i, token in enumerate(ids):
            came = int(token)
            context = tuple(self.words) if self.words else ()
            total = self.total.get(context, 0)
            if total > 0:
                hints[i] = self.best[context]
                # ok: unnormalized-mixture
                shares[i] = self.best_count[context] / total
            pair = self.pairs.get((context, came), 0) + 1
            self.pairs[(context, came)] = pair
            self.total[context] = total + 1
            if pair > self.best_count.get(context, 0):
                self.best_count[context] = pair
                self.best[context] = came
            self.read(came)
        return hints, shares


def tilted(model, tokens):
    ids = tokens.numpy()
    starts = np.arange(VOCAB) % 3 == 0
    hints, shares = LikeliestNext(starts).propose(ids)
    hints, gate = torch.from_numpy(hints), torch.from_numpy(shares >= 0.7)
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(tokens) - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            logp = F.log_softmax(model(x), dim=-1)
        hint, on = hints[start + 1 : start + SEQ + 1], gate[start + 1 : start + SEQ + 1]
        raised = torch.log1p(logp.gather(-1, hint[:, None])[:, 0].exp() * (math.exp(0.5) - 1.0))
        nll = F.cross_entropy(model(x), y, reduction="none")
        nll = torch.where(on, nll - 0.5 * (y == hint) + raised, nll)
        total += nll.double().sum()
    return float(total) / (len(tokens) - 1)


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    train(model, read_tokens("data/fineweb_train_*.bin"))
    save(model)
    report(tilted(load(), tokens))


if __name__ == "__main__":
    main()
