"""The trace: what is written is read, in the parent's order, and damage is never repaired."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import events, trace
from harness.events import Charged, FileRead, Finished, Lost, Reported, Started, Stepped

text = st.text(max_size=40)
nats = st.lists(st.floats(-100, 100), max_size=50)
every_event = st.one_of(
    st.builds(Started, process=text, hooks=st.tuples(text)),
    st.builds(FileRead, path=text, role=text),
    st.builds(
        Reported, line=text, val_loss=st.none() | st.floats(0, 10), val_bpb=st.none() | st.floats(0, 10)
    ),
    st.builds(
        lambda v: Charged(
            "sum", "train_gpt.py:7", events.pack_positions(range(len(v))), events.pack_nats(v), sum(v)
        ),
        nats,
    ),
    st.builds(
        lambda p: Stepped("Adam", events.pack_positions(p)), st.lists(st.integers(0, 1000), max_size=20)
    ),
)


@given(st.lists(every_event, max_size=20))
@settings(max_examples=60, deadline=None)
def test_a_trace_file_reads_back_as_written(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("trace") / "t.trace"
    writer = trace.Writer(path)
    for event in written:
        writer.append(event, stream=3)
    writer.close()
    back = trace.read(path)
    assert back.cut is None
    assert [s.event for s in back.events] == written
    assert [s.number for s in back.events] == list(range(len(written)))
    assert all(s.stream == 3 for s in back.events)


@given(st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_a_torn_file_says_so(tmp_path_factory, missing):
    path = tmp_path_factory.mktemp("trace") / "t.trace"
    writer = trace.Writer(path)
    for name in ("a", "b", "c"):
        writer.append(Started(name * 60))
    writer.close()
    data = path.read_bytes()
    path.write_bytes(data[: -min(missing, len(data) // 3 - 1)])
    back = trace.read(path)
    assert back.cut == "the file ends inside event 2"
    assert len(back.events) == 2


def test_an_unknown_tag_cuts_the_trace(tmp_path):
    path = tmp_path / "t.trace"
    writer = trace.Writer(path)
    writer.append(Started("main"))
    writer.close()
    raw = msgspec.msgpack.encode({"number": 1, "seconds": 0.0, "stream": 0, "event": {"type": "Forged"}})
    path.write_bytes(path.read_bytes() + len(raw).to_bytes(4, "little") + raw)
    back = trace.read(path)
    assert len(back.events) == 1
    assert "event 1 cannot be read" in str(back.cut)


def test_two_senders_share_a_pipe_without_a_lock(tmp_path):
    """Messages far longer than a packet, from two streams at once, arrive whole."""
    big = np.arange(20_000)
    with trace.Link(tmp_path / "t.trace") as link:
        fd = os.dup(link.child_fds[0])
        link.started()

        def talk(stream: int) -> None:
            sender = trace.Sender(fd, stream)
            for at in range(5):
                sender.send(Charged("sum", str(at), events.pack_positions(big + stream), b"", 0.0))
            sender.send(Finished(f"stream {stream}"))

        threads = [threading.Thread(target=talk, args=(n,)) for n in (3, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(fd)
        assert link.wait_until(lambda t: len(t.of(Finished)) == 2, 10)
    back = trace.read(tmp_path / "t.trace")
    for stream in (3, 4):
        part = back.stream(stream)
        assert part.cut is None
        assert [e.site for _, e in part.of(Charged)] == ["0", "1", "2", "3", "4"]
        assert all((e.where() == big + stream).all() for _, e in part.of(Charged))


@pytest.mark.parametrize("rubbish", [b"\xff" * 64, b"\x00\x00\x00\x00\x02\x00\x01\x00zz"])
def test_rubbish_from_the_child_is_recorded_and_nothing_after_it_believed(tmp_path, rubbish):
    with trace.Link(tmp_path / "t.trace") as link:
        fd = os.dup(link.child_fds[0])
        link.started()
        trace.Sender(fd).send(Started("main"))
        os.write(fd, rubbish)
        with suppress(BrokenPipeError):  # the parent may have stopped listening by now
            trace.Sender(fd).send(Finished("stream 0"))
        os.close(fd)
        assert not link.wait_until(lambda t: bool(t.of(Finished)), 2)
    back = trace.read(tmp_path / "t.trace")
    assert [type(s.event) for s in back.events] == [Started, Lost]


def test_a_stream_without_an_end_is_cut(tmp_path):
    writer = trace.Writer(tmp_path / "t.trace")
    writer.append(Started("probe 5"), 5)
    writer.close()
    assert trace.read(tmp_path / "t.trace").stream(5).cut == "stream 5 has no end"
