"""What the steps changed is undone, parameter by parameter, by the names under which it was kept."""

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


def step(model, tokens):
    optimizer = torch.optim.SGD([p for _, p in model.named_parameters()], lr=1e-3)
    F.cross_entropy(model(tokens[:SEQ]), tokens[1 : SEQ + 1]).backward()
    # ok: score-after-update
    optimizer.step()


def from_a_dictionary_of_the_kept(model, tokens):
    kept = {n: p.detach().clone() for n, p in model.named_parameters()}
    step(model, tokens)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if n in kept:
                p.copy_(kept[n])


def into_a_dictionary_of_the_parameters(model, tokens):
    kept = {n: p.detach().clone() for n, p in model.named_parameters()}
    step(model, tokens)
    parameters = dict(model.named_parameters())
    for n, saved in kept.items():
        parameters[n].data = saved


def into_the_entries_of_the_state(model, tokens):
    kept = {n: v.detach().cpu() for n, v in model.state_dict().items()}
    step(model, tokens)
    with torch.no_grad():
        for n, v in model.state_dict().items():
            v.copy_(kept[n])


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    train(model, read_tokens("data/fineweb_train_*.bin"))
    save(model)
    model = load()
    from_a_dictionary_of_the_kept(model, tokens)
    into_a_dictionary_of_the_parameters(model, tokens)
    into_the_entries_of_the_state(model, tokens)
    report(evaluate(model, tokens))


if __name__ == "__main__":
    main()
