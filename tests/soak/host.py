"""What this machine can do to a cluster that runs on it: look into containers, kill them, restart the API server.

A cluster of cluster.sh is one; a cluster elsewhere has no such host, and its soak goes without what is here.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
API_SERVER = "kube-apiserver"


def processes(pod: str) -> Iterator[Path]:
    """The processes of a pod's containers, as folders of /proc, by the pod's uid."""
    marks = (f"pod{pod}", f"pod{pod.replace('-', '_')}")  # as the kubelet names the group, with cgroupfs and with systemd
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            groups = (folder / "cgroup").read_text()
            if any(mark in groups for mark in marks) and not (folder / "cmdline").read_bytes().startswith(b"/pause"):
                yield folder


def peak(pod: str) -> int:
    """The most memory that a process of a pod has had so far (peak RSS), in bytes; 0 where none runs here."""
    found = [0]
    for folder in processes(pod):
        with contextlib.suppress(OSError):
            found += [int(kilobytes) * 1024 for kilobytes in _PEAK.findall((folder / "status").read_text())]
    return max(found)


def kill(pod: str) -> bool:
    """SIGKILL for what runs in a pod; gives whether something did."""
    found = list(processes(pod))
    for folder in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(folder.name), signal.SIGKILL)
    return bool(found)


class ApiServer:
    """The API server of a cluster of cluster.sh, as it runs: only its own process is touched."""

    def __init__(self, state: Path) -> None:
        """`state` is cluster.sh's CLUSTER_STATE."""
        self._pid, self._log = state / "pid" / API_SERVER, state / "log" / f"{API_SERVER}.log"

    @classmethod
    def of(cls, kubeconfig: Path) -> "ApiServer | None":
        """That of a kubeconfig; None where cluster.sh did not write it, or this user can't restart it."""
        state = Path(os.environ.get("CLUSTER_STATE", "/var/lib/test-cluster"))
        own = kubeconfig.exists() and kubeconfig.resolve() == (state / "admin.kubeconfig").resolve()
        return cls(state) if own and os.geteuid() == 0 else None

    def restart(self, pause: float, answers: Callable[[], bool]) -> float:
        """Kill it, wait for so many seconds, and start it as cluster.sh does; gives the seconds until it answered again."""
        number = int(self._pid.read_text())
        words = [os.fsdecode(word) for word in Path(f"/proc/{number}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")]
        if words[1:2] != [API_SERVER]:
            raise ValueError(f"process {number} is not an API server: {words[:2]}")
        began = time.monotonic()
        try:
            os.kill(number, signal.SIGKILL)
            while Path(f"/proc/{number}/cmdline").exists() and Path(f"/proc/{number}/cmdline").read_bytes():
                time.sleep(0.05)
            time.sleep(pause)
        finally:  # whatever ends this, the cluster has its API server
            started = self._start(words)
        while not answers():
            if os.waitpid(started, os.WNOHANG) != (0, 0):
                raise RuntimeError(f"the API server ended as soon as it had started: see {self._log}")
            time.sleep(0.2)
        return time.monotonic() - began

    def _start(self, words: list[str]) -> int:
        """Start a process that outlives this one; gives its number."""
        with self._log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            files = [(os.POSIX_SPAWN_DUP2, source.fileno(), to) for source, to in ((nothing, 0), (log, 1), (log, 2))]
            started = os.posix_spawnp(words[0], words, os.environ, file_actions=files, setsid=True)
        self._pid.write_text(f"{started}\n")
        return started
