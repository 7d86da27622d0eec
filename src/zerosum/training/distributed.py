"""Several processes, on any number of machines, that train one run: torch's launcher starts them, one a GPU or CPU.

What they exchange goes over two ways. *Collectives* (gloo for what lies on a CPU, NCCL on GPUs) carry gradients and
statistics; all processes take part in each within `PATIENCE`, or one of them is lost. The launcher's *store*, a table
of keys, carries what may take long: who waits in it for process 0 (data are decoded, a report is written) waits as long
as process 0 shows that it lives, and who fails leaves its words there.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from zerosum.errors import UsageError, WorldError, ZerosumError
from zerosum.together import shared
from zerosum.training.checkpoint import State
from zerosum.training.interrupts import Interrupts, SharedInterrupts
from zerosum.training.world import World

PATIENCE = 25.0  # seconds from the first to the last process that comes to an exchange
BEAT = 1.0  # seconds between two signs of life of process 0
LOST = 15.0  # seconds without one, after which it is dead
STARTING = 600.0  # seconds in which all processes must have started
LAST_WORDS = 3.0  # seconds to wait for those of a process that is gone
LISTENING = 0.25  # seconds after which process 0 looks again whether another heard a signal
SHORTEST, LONGEST = 0.002, 0.5  # seconds between two looks at the store, which grow
REDUCED = (torch.float16, torch.bfloat16)


def meet(store: Store, rank: int, size: int) -> Store:
    """Wait until all processes have started; the part of the store that is theirs alone.

    The launcher keeps its store over a restart, with all that those before it have left there. So each takes its seat
    under a name of its own, process 0 says who sits where, and what all of them have confirmed holds. Raises
    RuntimeError where it comes to nothing.
    """
    mine, confirmed, offered = uuid.uuid4().hex, "", ""
    seats = [f"seat/{number}" for number in range(size)]
    store.set(seats[rank], mine)
    deadline = time.monotonic() + STARTING  # importing takes some much longer than others
    while time.monotonic() < deadline:
        if rank == 0 and store.check(seats) and (there := b" ".join(store.multi_get(seats)).decode()) != offered:
            offered = there
            store.set("seats", offered)
        taken = store.get("seats").decode() if store.check(["seats"]) else ""
        if taken.split()[rank : rank + 1] == [mine]:
            name = hashlib.blake2b(taken.encode(), digest_size=16).hexdigest()
            if name != confirmed:
                store.add(name, 1)
                confirmed = name
            if store.add(name, 0) == size:
                return PrefixStore(name, store)
        time.sleep(0.05)
    raise RuntimeError(f"not all {size} have started within {STARTING:.0f} seconds")


class Processes(World):
    """This process as one of several; also the `together.Group` that shares a batch.

    Raises `WorldError` wherever another one is lost, with its last words, if there are any.
    """

    def __init__(self) -> None:
        self._local = int(os.environ["LOCAL_RANK"])
        store, self.rank, self.size = next(rendezvous("env://", timeout=timedelta(seconds=STARTING)))
        self._store = store
        self._leads = 0  # how often the others have waited for process 0
        self._told = False
        self._listened = 0.0
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        with self._exchange():
            self._store = meet(self._store, self.rank, self.size)
        backend = "gloo"
        if torch.cuda.is_available() and dist.is_nccl_available():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(self._local % torch.cuda.device_count())
        with self._exchange():
            dist.init_process_group(
                backend,
                store=self._store,
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=PATIENCE),
            )
        if self.leads:
            threading.Thread(target=self._live, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if error is None:
            dist.destroy_process_group()
            return
        code = error.exit_code if isinstance(error, ZerosumError) else 1
        text = str(error) if isinstance(error, ZerosumError) else f"{type(error).__name__}: {error}"
        mine = json.dumps({"rank": self.rank, "host": socket.gethostname(), "text": text, "code": code})
        if isinstance(error, ZerosumError) and not error.quiet:
            with suppress(RuntimeError):  # the store may be gone with whoever is
                first = json.loads(self._store.compare_set("failed", "", mine))
                error.quiet = first["rank"] != self.rank and first["text"] == text
        elif not isinstance(error, ZerosumError):
            with suppress(RuntimeError):
                self._store.compare_set("failed", "", mine)

    def check_device(self, device: torch.device) -> None:
        """Raise `UsageError` where the processes of this machine cannot all train on such a device."""
        if device.type not in ("cpu", "cuda"):
            raise UsageError(
                f"Several processes train on CPUs or on NVIDIA's GPUs, not on {device.type}: --device cpu."
            )
        if device.type == "cuda" and (here := int(os.environ["LOCAL_WORLD_SIZE"])) > torch.cuda.device_count():
            raise UsageError(
                f"{socket.gethostname()} has {torch.cuda.device_count()} GPUs for {here} processes: give torchrun "
                f"--nproc-per-node {torch.cuda.device_count()}, or --device cpu."
            )
        if device.index is not None:
            raise UsageError(f"Each process takes a GPU of its own: give --device cuda, not {device}.")

    # what process 0 does alone

    def lead(self, work: Callable[[], Any]) -> Any:
        """What `work` gives on process 0, alone, as JSON holds it; the others wait for it however long it takes."""
        self._leads += 1
        key = f"led/{self._leads}"
        if not self.leads:
            return json.loads(self._await(key))
        made = work()
        with self._exchange():
            self._store.set(key, json.dumps(made))
        return made

    def _await(self, key: str) -> bytes:
        """The value of a key of the store, once it is there."""
        beat, heard, pause = b"", time.monotonic(), SHORTEST
        with self._exchange():
            while not self._store.check([key]):
                if self._store.check(["failed"]):
                    raise RuntimeError("another process failed")
                now = self._store.get("beat") if self._store.check(["beat"]) else b""
                if now != beat:
                    beat, heard = now, time.monotonic()
                if time.monotonic() - heard > LOST:
                    raise RuntimeError("process 0 shows no sign of life")
                time.sleep(pause)
                pause = min(1.5 * pause, LONGEST)
            value: bytes = self._store.get(key)
            return value

    def _live(self) -> None:
        """Process 0 shows that it lives."""
        beats = 0
        while not self._ended.wait(BEAT):
            beats += 1
            try:
                self._store.set("beat", str(beats))
            except RuntimeError:
                return  # the store is gone: whatever the training does next says so

    # what all do at once

    def sharing(self) -> AbstractContextManager[None]:
        """Within it, what mixes samples sees the whole batch."""
        return shared(self)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes of tensors of one shape: a new one."""
        wide = values.float() if values.dtype in REDUCED else values
        total = wide.detach().clone(memory_format=torch.contiguous_format)
        with self._exchange():
            dist.all_reduce(total)
        return total.to(values.dtype)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (n, …) of all processes, in their order: (size·n, …)."""
        wide = (rows.float() if rows.dtype in REDUCED else rows).detach().contiguous()
        parts = [torch.empty_like(wide) for _ in range(self.size)]
        with self._exchange():
            dist.all_gather(parts, wide)
        return torch.cat(parts).to(rows.dtype)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Put the mean over processes in place of each, in one exchange, in the dtype of the first."""
        flat = torch.cat([tensor.reshape(-1).to(tensors[0].dtype) for tensor in tensors])
        with self._exchange():
            dist.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def first(self, words: str | None, after: int = 0) -> str | None:
        """What the first process that has any words says; on every one. Who has a lower `after` comes first."""
        silent = 2**62
        speaker = torch.tensor([silent if words is None else after * self.size + self.rank])
        with self._exchange():
            dist.all_reduce(speaker, dist.ReduceOp.MIN)
        if int(speaker.item()) == silent:
            return None
        rank = int(speaker.item()) % self.size
        key = f"words/{rank}"
        if rank == self.rank:
            with self._exchange():
                self._store.set(key, json.dumps(words))
            return words
        said: str = json.loads(self._await(key))
        return said

    @torch.no_grad()
    def share(self, state: State) -> None:
        """Give all processes the state of process 0."""
        told = self.lead(lambda: [state.images, state.seconds, state.rollbacks])
        state.images, state.seconds, state.rollbacks = told
        for tensor in state.tensors().values():
            dense = tensor.contiguous()
            with self._exchange():
                dist.broadcast(dense, 0)
            if dense is not tensor:
                tensor.copy_(dense)

    # signals and the clock

    def interrupts(self) -> Interrupts:
        """Signals, as this process hears them."""
        return SharedInterrupts()

    def agree(self, seconds: float, interrupts: Interrupts) -> float:
        """What process 0 takes for `seconds`; a signal that any of them heard is in `interrupts.number` of all."""
        heard = interrupts.heard if isinstance(interrupts, SharedInterrupts) else None
        said = torch.tensor([seconds, self._heard(heard)], dtype=torch.float64)
        with self._exchange():
            dist.broadcast(said, 0)
        seconds, number = said.tolist()
        if number:
            interrupts.number = int(number)
        return seconds

    def _heard(self, mine: int | None) -> int:
        """The signal that process 0 knows of, here or from another; other processes tell theirs. 0: none."""
        with self._exchange():
            if not self.leads:
                if mine and not self._told:
                    self._store.set("signal", str(mine))
                    self._told = True
                return 0
            if mine:
                return mine
            if time.monotonic() - self._listened < LISTENING:
                return 0
            self._listened = time.monotonic()
            return int(self._store.get("signal")) if self._store.check(["signal"]) else 0

    # what is lost

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """An exchange that fails is the loss of another process, in words."""
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise self._lost(error) from error

    def _lost(self, error: RuntimeError) -> WorldError:
        """What to say where an exchange failed: the words of the process that failed, or which are silent."""
        with suppress(RuntimeError):
            self._store.set(f"left/{self.rank}", "")
            deadline = time.monotonic() + LAST_WORDS
            while time.monotonic() < deadline:
                if self._store.check(["failed"]):
                    return self._told_by(json.loads(self._store.get("failed")))
                time.sleep(0.1)
            missing = [rank for rank in range(self.size) if not self._store.check([f"left/{rank}"])]
            if missing:
                which = f"{'process' if len(missing) == 1 else 'processes'} {', '.join(map(str, missing))}"
                return WorldError(
                    f"Of the {self.size} processes of this training {which} fell silent: killed, short of memory, or "
                    "on a machine that is lost. All stop; the same command goes on from the last checkpoint."
                )
        return WorldError(
            f"The {self.size} processes of this training have lost each other ({str(error).splitlines()[0]}). The same "
            "command goes on from the last checkpoint."
        )

    def _told_by(self, failed: dict[str, Any]) -> WorldError:
        lost = WorldError(f"Process {failed['rank']} of {self.size}, on {failed['host']}: {failed['text']}")
        lost.exit_code = failed["code"]  # type: ignore[misc]
        lost.quiet = not self.leads or failed["rank"] == 0 or failed["code"] == WorldError.exit_code
        return lost
