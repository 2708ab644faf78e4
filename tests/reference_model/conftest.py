"""A very small data set in the challenge's format, and a configuration that finishes in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reference_model.config import Config, tiny
from reference_model.corpus import clean_document, pydoc_topics, write_dataset

VOCAB = 384


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def documents() -> list[str]:
    topics = [clean_document(text)[:600] for text in pydoc_topics()]
    return sorted({text for text in topics if len(text) > 100})


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory, documents: list[str]) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("data")
    return write_dataset(documents, root, VOCAB)


@pytest.fixture
def small(dataset: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return small_config(dataset)


def small_config(dataset: tuple[Path, Path], **changes: Any) -> Config:
    data, tokenizer = dataset
    return tiny(data_path=str(data), tokenizer_path=str(tokenizer), vocab_size=VOCAB, **changes)
