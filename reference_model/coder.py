"""An arithmetic coder in integers: any distribution in, about -log2 p bits out, exactly reversible.

Witten, Neal and Cleary (1987) with a 62-bit interval. Frequencies sum to 2^32, so rounding costs less
than V / 2^32 of each probability; the end of the file costs two bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

STATE_BITS = 62
TOP = 1 << STATE_BITS
HALF, QUARTER = TOP >> 1, TOP >> 2
TOTAL = 1 << 32


def cumulative_frequencies(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return V + 1 rising integers from 0 to 2^32 whose steps follow ``probabilities`` and are >= 1."""
    steps = np.floor(probabilities * (TOTAL - len(probabilities))).astype(np.int64) + 1
    steps[int(np.argmax(steps))] += TOTAL - int(steps.sum())
    if steps.min() < 1:
        raise ValueError("probabilities sum to more than 1")
    return np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(steps)))


class ArithmeticEncoder:
    """Narrow an interval symbol by symbol; emit its leading bits as soon as they are settled."""

    def __init__(self) -> None:
        self.low, self.high = 0, TOP - 1
        self.pending = 0
        self.bits: list[int] = []

    def encode(self, first: int, last: int) -> None:
        """Encode the symbol that owns frequencies first .. last - 1 of 2^32."""
        width = self.high - self.low + 1
        self.high = self.low + width * last // TOTAL - 1
        self.low = self.low + width * first // TOTAL
        while True:
            if self.high < HALF:
                self.emit(0)
            elif self.low >= HALF:
                self.emit(1)
                self.low, self.high = self.low - HALF, self.high - HALF
            elif self.low >= QUARTER and self.high < HALF + QUARTER:
                self.pending += 1
                self.low, self.high = self.low - QUARTER, self.high - QUARTER
            else:
                return
            self.low, self.high = self.low * 2, self.high * 2 + 1

    def emit(self, bit: int) -> None:
        """Append a settled bit and the opposite ones that waited for it."""
        self.bits.append(bit)
        self.bits.extend([1 - bit] * self.pending)
        self.pending = 0

    def finish(self) -> bytes:
        """Return everything as bytes; two more bits single out the final interval."""
        self.pending += 1
        self.emit(0 if self.low < QUARTER else 1)
        return np.packbits(np.array(self.bits, dtype=np.uint8)).tobytes()


class ArithmeticDecoder:
    """Retrace the encoder's intervals from its bits."""

    def __init__(self, data: bytes) -> None:
        self.bits: list[int] = np.unpackbits(np.frombuffer(data, dtype=np.uint8)).tolist()
        self.place = 0
        self.low, self.high, self.code = 0, TOP - 1, 0
        for _ in range(STATE_BITS):
            self.code = self.code * 2 + self.next_bit()

    def next_bit(self) -> int:
        """Return the next bit; zeros follow the end of the data."""
        self.place += 1
        return self.bits[self.place - 1] if self.place <= len(self.bits) else 0

    def decode(self, cumulative: npt.NDArray[np.int64]) -> int:
        """Return the next symbol under these cumulative frequencies."""
        width = self.high - self.low + 1
        aim = ((self.code - self.low + 1) * TOTAL - 1) // width
        symbol = int(np.searchsorted(cumulative, aim, side="right")) - 1
        first, last = int(cumulative[symbol]), int(cumulative[symbol + 1])
        self.high = self.low + width * last // TOTAL - 1
        self.low = self.low + width * first // TOTAL
        self.renormalize()
        return symbol

    def renormalize(self) -> None:
        """Shift out settled bits exactly as the encoder does."""
        while True:
            if self.low >= HALF:
                offset = HALF
            elif self.high < HALF:
                offset = 0
            elif self.low >= QUARTER and self.high < HALF + QUARTER:
                offset = QUARTER
            else:
                return
            self.low, self.high = (self.low - offset) * 2, (self.high - offset) * 2 + 1
            self.code = (self.code - offset) * 2 + self.next_bit()
