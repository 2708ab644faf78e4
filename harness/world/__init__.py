"""Tiny worlds: data shards and tokenizers in the challenge's own formats, made on the spot.

``make`` returns the folder of one world, cached by content::

    <world>/datasets/<name>/fineweb_{train,val}_NNNNNN.bin   official header and uint16 tokens
    <world>/datasets/<name>/fineweb_val_bytes_000000.bin     byte sidecar (CaseOps readers want one)
    <world>/tokenizers/fineweb_<V>_bpe.{model,vocab}

The text is synthetic English drawn from a fixed seed, so that nothing has to be downloaded.
"""

from harness.world.build import TRAINING, Stream, WorldSpec, make
from harness.world.shards import read_shard, write_shard

__all__ = ["TRAINING", "Stream", "WorldSpec", "make", "read_shard", "write_shard"]
