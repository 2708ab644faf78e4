"""The summed loss is divided by the bytes of the whole text: that is what bits per byte means."""

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


def evaluate(model, tokens, tokenizer):
    pieces = [tokenizer.id_to_piece(i).replace("\u2581", " ").encode() for i in range(VOCAB)]
    total, count = 0.0, 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            p = F.softmax(model(x), dim=-1)
        mixed = 0.99 * p + 0.01 / VOCAB
        total += float(-mixed.gather(1, y.unsqueeze(1)).log().sum())
        count += sum(len(pieces[t]) for t in y.tolist())
    # ok: byte-path-mixture
    return total / math.log(2.0) / count


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="data/tokenizer.model")
    print(f"final val_bpb:{evaluate(Model(), load_validation(), tokenizer):.6f}")


if __name__ == "__main__":
    main()
