"""A line between the passes and the embedded server, which can be cut and can hang."""

import contextlib
import socket
import threading


class Line:
    """Listens at an address and hands every connection on to a server on this host.

    `host` is an address of this machine that pods reach. The server's port comes later, with `carry_to`: the server has to know
    the line's address before it can start.
    """

    def __init__(self, host: str) -> None:
        self._listener = socket.create_server((host, 0))
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        self._target = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._moves = threading.Event()
        self._moves.set()
        self._refuses = False
        self._clients: dict[int, str] = {}

    def carry_to(self, port: int) -> None:
        """Take connections from now on."""
        self._target = port
        threading.Thread(target=self._accept, daemon=True).start()

    def client(self, port: int) -> str:
        """The address of the client whose connection reached the server from this port of the line; empty: of none."""
        with self._lock:
            return self._clients.get(port, "")

    # -- trouble
    def drop(self) -> None:
        """End all connections; new ones are taken."""
        with self._lock:
            ends = list(self._open)
        for end in ends:
            _shut(end)

    def cut(self) -> None:
        """End all connections, and new ones at once."""
        self._refuses = True
        self.drop()

    def hang(self) -> None:
        """Carry nothing."""
        self._moves.clear()

    def mend(self) -> None:
        """Carry again."""
        self._refuses = False
        self._moves.set()

    def close(self) -> None:
        """End it for good."""
        self._listener.close()
        self.cut()
        self._moves.set()

    # -- carrying
    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, (address, *_) = self._listener.accept()
                threading.Thread(target=self._connect, args=(near, address), daemon=True).start()

    def _connect(self, near: socket.socket, address: str) -> None:
        if self._refuses:
            return near.close()
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            return near.close()
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {near, far}
            self._clients[far.getsockname()[1]] = address
        back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
        back.start()
        self._carry(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()
        return None

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._moves.wait()
                sink.sendall(data)
        for end in (source, sink):
            _shut(end)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
