"""Tuning, in a file that no import statement names."""

import torch
import torch.nn.functional as F


def polish(net, stream, width):
    mover = torch.optim.SGD(net.parameters(), lr=1e-3)
    for first in range(0, len(stream) - width - 1, width):
        mover.zero_grad()
        F.cross_entropy(net(stream[first : first + width]), stream[first + 1 : first + width + 1]).backward()
        # expect: prequant-ttt
        mover.step()
