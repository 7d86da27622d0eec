"""Large buffers stay with the process between steps.

glibc gives a freed buffer of megabytes back to the system and takes it again page by page, at every step: some 16,000
page faults for a step of `dcgan-64`, and a tenth of its time. Told otherwise, it keeps what the step will need again.
"""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>
LARGEST = 32 << 20  # bytes; glibc takes no higher threshold


def keep_buffers() -> bool:
    """Tell glibc to keep freed memory; returns whether it listened. Elsewhere nothing happens."""
    return _tell(trim=2**31 - 1, pad=8 * LARGEST)


def return_buffers() -> bool:
    """What glibc settles at by itself in a process of large buffers: twice its threshold stays, the rest goes back."""
    return _tell(trim=2 * LARGEST, pad=128 << 10)


def _tell(trim: int, pad: int) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((M_MMAP_THRESHOLD, LARGEST), (M_TRIM_THRESHOLD, trim), (M_TOP_PAD, pad))
    answers = [mallopt(key, value) for key, value in settings]  # each is told, whatever one answers
    return answers == [1, 1, 1]
