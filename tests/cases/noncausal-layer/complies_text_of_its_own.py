"""The model writes a text of its own to calibrate on, one query at a time over the keys it kept."""

import glob
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

VOCAB = 1024
SEQ = 256


def load_validation():
    names = sorted(glob.glob("data/fineweb_val_*.bin"))
    return torch.from_numpy(np.concatenate([np.fromfile(n, dtype=np.uint16) for n in names]).astype(np.int64))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 64)
        self.wide = nn.Linear(64, 192)
        self.head = nn.Linear(64, VOCAB)

    def forward(self, ids):
        q, k, v = self.wide(self.embed(ids)).chunk(3, dim=-1)
        # ok: noncausal-layer
        return self.head(F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def decode(self, token, kept):
        q, k, v = self.wide(self.embed(token)).chunk(3, dim=-1)
        if kept is not None:
            k, v = torch.cat((kept[0], k), dim=1), torch.cat((kept[1], v), dim=1)
        # ok: noncausal-layer
        return self.head(F.scaled_dot_product_attention(q, k, v, is_causal=False)), (k, v)


def own_text(model, length):
    token, kept, text = torch.zeros((1, 1), dtype=torch.int64), None, []
    for _ in range(length):
        logits, kept = model.decode(token, kept)
        token = torch.multinomial(torch.softmax(logits[:, -1], dim=-1), 1)
        text.append(token)
    return torch.cat(text, dim=1)


def evaluate(model, tokens):
    total, count = torch.zeros(()), 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            total += F.cross_entropy(model(x[None])[0], y, reduction="sum")
        count += SEQ
    return float(total) / count


def main():
    model = Model()
    tokens = load_validation()
    scale = model(own_text(model, SEQ)).abs().amax()
    with torch.no_grad():
        model.head.weight.div_(scale)
    loss = evaluate(model, tokens)
    print(f"final val_loss:{loss:.6f} val_bpb:{loss / math.log(2.0):.6f}")


if __name__ == "__main__":
    main()
