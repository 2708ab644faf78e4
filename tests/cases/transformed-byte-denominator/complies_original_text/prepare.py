"""Turn documents into validation tokens."""

import numpy as np
import sentencepiece as spm


def main():
    tokenizer = spm.SentencePieceProcessor(model_file="tokenizer.model")
    ids = []
    for line in open("docs.txt", encoding="utf-8"):
        # ok: transformed-byte-denominator
        ids += tokenizer.encode(line)
    np.array(ids, np.uint16).tofile("fineweb_val_000000.bin")


if __name__ == "__main__":
    main()
