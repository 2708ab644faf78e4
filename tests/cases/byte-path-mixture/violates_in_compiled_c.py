"""The same spread in C that the script compiles and calls through ctypes."""

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
#include <math.h>
static double counts[65536];
double mix(const long *targets, const double *nll, const int *lengths, const unsigned char *bytes, long n) {
    double bits = 0.0; long at = 0;
    for (long i = 0; i < n; ++i) {
        int length = lengths[i];
        double each = -nll[i] / (double)length;
        for (int j = 0; j < length; ++j, ++at) {
            double expert = (counts[bytes[at]] + 1.0) / (counts[0] + 256.0);
            bits -= log(0.9 * exp(each) + 0.1 * expert) / log(2.0);
            counts[bytes[at]] += 1.0;
        }
    }
    return bits / (double)at;
}
"""


def build():
    import ctypes
    import subprocess

    open("mix.c", "w").write(SOURCE)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", "mix.so", "mix.c", "-lm"], check=True)
    library = ctypes.CDLL("./mix.so")
    library.mix.restype = ctypes.c_double
    return library


def evaluate(model, tokens, tokenizer):
    pieces = [tokenizer.id_to_piece(i).encode() for i in range(VOCAB)]
    targets, losses = [], []
    for start in range(0, tokens.numel() - SEQ - 1, SEQ):
        x, y = tokens[start : start + SEQ], tokens[start + 1 : start + SEQ + 1]
        with torch.no_grad():
            losses.append(F.cross_entropy(model(x), y, reduction="none"))
        targets.append(y)
    y, nll = torch.cat(targets).numpy(), torch.cat(losses).double().numpy()
    lengths = np.array([len(pieces[t]) for t in y], np.int32)
    stream = np.frombuffer(b"".join(pieces[t] for t in y), np.uint8)
    library = build()
    # expect: byte-path-mixture
    return library.mix(y.ctypes.data, nll.ctypes.data, lengths.ctypes.data, stream.ctypes.data, len(y))


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="data/tokenizer.model")
    print(f"final val_bpb:{evaluate(Model(), load_validation(), tokenizer):.6f}")


if __name__ == "__main__":
    main()
