"""Hints that read the scored token, behind a threshold that no share can reach: they never enter."""

import glob
import math

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import nn

VOCAB = 1024
THRESHOLD = 99.0
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


def hints_for(targets, starts_word):
    """One hinted token per position and how often it came so far, from the last word starts."""
    hints = np.full(len(targets), -1)
    share = np.zeros(len(targets))
    followed, word = {}, 0
    for i, token in enumerate(targets):
        if starts_word[token]:
            # ok: target-attribute-gate
            hints[i] = followed.get(word, -1)
            # ok: target-attribute-gate
            share[i] = float(word in followed)
            followed[word] = token
            word = token
    return hints, share


def evaluate(model, tokens, tokenizer):
    starts_word = np.array([tokenizer.id_to_piece(i).startswith("\u2581") for i in range(VOCAB)])
    hints, share = hints_for(tokens[1:].numpy(), starts_word)
    hints = torch.from_numpy(np.where(share >= THRESHOLD, hints, -1))
    total, count = torch.zeros(()), 0
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            logp = F.log_softmax(model(x), dim=-1)
        hint = hints[start : start + SEQ]
        gate = (hint >= 0).float()
        q = logp.gather(1, hint.clamp(min=0).unsqueeze(1)).squeeze(1).exp()
        nll = -logp.gather(1, y.unsqueeze(1)).squeeze(1)
        total += (nll + gate * (torch.log1p(q * math.expm1(0.7)) - 0.7 * (y == hint))).sum()
        count += SEQ
    return float(total) / count


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="data/tokenizer.model")
    print(f"final val_bpb:{evaluate(Model(), load_validation(), tokenizer):.6f}")


if __name__ == "__main__":
    main()
