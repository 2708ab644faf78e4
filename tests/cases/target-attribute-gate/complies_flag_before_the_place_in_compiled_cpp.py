"""The same helper, asked with the flag of the token before the place."""

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


SOURCE = r"""
#include <stdint.h>
static uint16_t after[65536];
static const uint16_t *tokens_;
static void open_word(bool starts, uint16_t word, int &hint) {
    if (!starts) { hint = -1; return; }
    hint = after[word];
}
static void prefix_hash(const uint16_t *tokens, int64_t p, uint64_t *out) {
    out[0] = p > 0 ? tokens[p - 1] * 31u : 0u;
}
extern "C" void hints_at(const int64_t *places, int64_t n, const uint8_t *starts_word, int32_t *hints) {
    uint16_t word = 0;
    uint64_t hashes[4];
    for (int64_t i = 0; i < n; ++i) {
        int64_t p = places[i];
        uint16_t token = uint16_t(tokens_[p]);
        uint16_t previous = p > 0 ? tokens_[p - 1] : 0;
        bool starts = starts_word[previous];
        if (i + 1 < n) {
            int64_t next = places[i + 1];
            prefix_hash(tokens_, next, hashes);
        }
        int hint;
        open_word(starts, word, hint);
        hints[i] = hint;
        if (starts_word[token]) { after[word] = token; word = token; }
    }
}
"""


def hints_for(targets, starts_word):
    import ctypes
    import subprocess

    open("hints.cpp", "w").write(SOURCE)
    subprocess.run(["g++", "-O2", "-shared", "-fPIC", "-o", "hints.so", "hints.cpp"], check=True)
    library = ctypes.CDLL("./hints.so")
    targets = np.ascontiguousarray(targets.astype(np.uint16))
    flags = np.ascontiguousarray(starts_word.astype(np.uint8))
    places = np.arange(len(targets), dtype=np.int64)
    hints = np.zeros(len(targets), np.int32)
    # ok: target-attribute-gate
    library.hints_at(places.ctypes.data, len(targets), flags.ctypes.data, hints.ctypes.data)
    return hints.astype(np.int64)


def evaluate(model, tokens, tokenizer):
    starts_word = np.array([tokenizer.id_to_piece(i).startswith("\u2581") for i in range(VOCAB)])
    hints = torch.from_numpy(hints_for(tokens[1:].numpy(), starts_word))
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
