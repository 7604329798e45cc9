"""The peak memory of a benchmark, its children included."""

import threading

import psutil

_LOOK_SECONDS = 0.05


class peak_memory(list[float]):  # noqa: N801 (a context manager, used as one)
    """Measure the peak memory (PSS, MiB) of this process and its children by polling."""

    def __enter__(self) -> "peak_memory":
        self.append(0.0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._over.wait(_LOOK_SECONDS):
            total = 0
            for process in [this, *this.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:  # the process ended meanwhile
                    continue
            self[0] = max(self[0], total / 2**20)
