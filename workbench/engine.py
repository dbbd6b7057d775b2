"""The engine: the one thread that runs a model, answer after answer.

It outlives no session. When a session is forgotten or the program ends, what the engine was writing is
cancelled and its thread ends first: a thread that is inside PyTorch when the interpreter goes would abort the
program.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from kernels.workers import release_workers
from model import Llama4, Processor, generate
from workbench.run import Run
from workbench.sentences import out_of_memory

# parameters; below, an operation is over before a second core has joined in, and waiting for one that is busy
# (a browser's, say) costs many times the operation
ONE_THREAD_BELOW = 50_000_000

Result = TypeVar("Result")


class Call(Generic[Result]):
    """Work that somebody waits for."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work: Callable[[], Result] | None = work
        self._done = threading.Event()
        self._outcome: tuple[Result | None, Exception | None] = (None, None)

    def perform(self) -> None:
        """Do it, unless nobody waits any more."""
        try:
            work, self._work = self._work, None
            if work is not None:
                self._outcome = (work(), None)
        # whatever it was, the caller must learn of it and the thread go on
        except Exception as error:
            self._outcome = (None, error)
        self._done.set()

    def result(self) -> Result:
        """What the work gives, once it is done; raises what it raised."""
        try:
            # woken at times, so that a keyboard interrupt is noticed
            while not self._done.wait(0.2):
                pass
        except KeyboardInterrupt:
            self._work = None
            raise
        given, error = self._outcome
        if error is not None:
            raise error
        return given


Runs = queue.SimpleQueue[Run | Call | None]


class Engine:
    """Answers runs in the order they come; the thread starts with the first.

    Args:
        llama: the model. processor: its tokenizer. name: of the model, for the thread's name.
    """

    def __init__(self, llama: Llama4, processor: Processor, name: str) -> None:
        self.llama = llama
        self.processor = processor
        self.name = name
        # of the newest thread alone, so that no other can take the word that ends it; None while closed
        self._runs: Runs | None = None
        self._thread: threading.Thread | None = None  # the newest, also when it is told to end or has ended
        self._changing = threading.Lock()
        self._here = threading.local()  # `is_engine` in our threads; one that is told to end is still ours
        self._stopping = threading.Event()
        # as the caller has them: a new thread would start with what another session's engine has set
        self._torch_threads = torch.get_num_threads()
        self._small = sum(parameter.numel() for parameter in llama.parameters()) < ONE_THREAD_BELOW
        self.only_here()

    def call(self, work: Callable[[], Result]) -> Result:
        """Do `work` in the engine's thread, after what is queued, and wait for what it gives.

        Asked for from the engine's own thread (by an edit, say), it is done at once. After a keyboard
        interrupt work that still waits is not done.

        Raises:
            Exception: whatever `work` raises.
        """
        if self.is_here():
            return work()
        call = Call(work)
        self.put(call)
        return call.result()

    def put(self, run: Run | Call) -> None:
        """Queue a run and return at once."""
        self.only_here()
        with self._changing:
            if self._runs is None:
                runs: Runs = queue.SimpleQueue()
                thread = threading.Thread(
                    target=self._work, args=(runs, self._thread), name=f"engine of {self.name}", daemon=True
                )
                thread.start()
                self._runs, self._thread = runs, thread
            # before anybody else can close this queue: what comes after its end is never read
            self._runs.put(run)

    def close(self) -> None:
        """End the thread after the runs that are queued; what is put meanwhile begins in a new one."""
        with self._changing:
            runs, self._runs = self._runs, None
            if runs is not None:
                runs.put(None)
            thread = self._thread
        # the last to let go of a session may be this very thread
        if thread is not None and not self.is_here():
            thread.join()

    def stop(self) -> None:
        """End the thread before its next token; queued runs end as cancelled."""
        self._stopping.set()
        self.close()

    def only_here(self) -> None:
        """Let the caller's workers go, which would slow down ours: for who loads the model, asks or looks."""
        if not self._small and not self.is_here():
            release_workers()

    def is_here(self) -> bool:
        """Whether the caller runs in a thread of this engine, which must not wait for it."""
        return getattr(self._here, "is_engine", False)

    def _work(self, runs: Runs, before: threading.Thread | None) -> None:
        """Work off `runs`, once the thread `before`, which may be told to end, has let go of the model."""
        self._here.is_engine = True
        if before is not None:
            before.join()
        torch.set_num_threads(1 if self._small else self._torch_threads)  # of this thread alone
        while (run := self._next(runs)) is not None:
            if isinstance(run, Call):
                run.perform()
                del run
                continue
            try:
                self._answer(run)
            # whatever it was, the subscriber must learn of it and the thread go on
            except Exception as error:
                _let_go(error)
                run.end(None, error)
            # while waiting for the next, nothing is held that would keep a session alive
            del run

    def _next(self, runs: Runs) -> Run | Call | None:
        """What is queued next; as long as nothing is, our workers must not slow down those of others."""
        if not self._small and runs.empty():
            release_workers()
        return runs.get()

    def _answer(self, run: Run) -> None:
        if run.cancelled.is_set() or self._stopping.is_set():
            run.end("cancelled")  # before an edit could complain that it was never applied
            return
        capture, cache = run.capture, self.llama.new_cache()
        with capture.watching():
            steps = generate(self.llama, self.processor, capture.inputs, run.sampling, run.cancelled, cache)
            while not self._stopping.is_set() and (step := next(steps, None)) is not None:
                run.note(step)
            stopped = run.cancelled.is_set() or self._stopping.is_set()
            if capture.routing.layers and capture.steps and not stopped:
                # the last token predicted nothing, so no pass has routed it yet
                last = torch.tensor([[capture.steps[-1].token_id]], device=self.llama.device)
                with torch.no_grad():
                    self.llama.hidden(last, cache=cache)
                capture.add_last_routing()
        reason = capture.steps[-1].finish_reason if capture.steps else None
        run.end(reason or "cancelled")


def _let_go(error: Exception) -> None:
    """Free what a broken pass held: whoever keeps the error would keep its tensors, cache and all."""
    traceback.clear_frames(error.__traceback__)
    if out_of_memory(error) and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
