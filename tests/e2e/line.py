"""A line to the API server that can be cut."""

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Line:
    """Lies between `kubeconfig`, its own, and the API server."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        address = urlsplit(config["clusters"][0]["cluster"]["server"])
        self._target = (address.hostname, address.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        config["clusters"][0]["cluster"] |= {
            "server": f"https://127.0.0.1:{self._listener.getsockname()[1]}",
            "tls-server-name": address.hostname,
        }
        self.kubeconfig = folder / "line.kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def drop(self) -> None:
        """Cut all connections; new ones are taken."""
        self._close(self._open[1:])

    def cut(self) -> None:
        """Cut it for good."""
        self._close(self._open)

    @staticmethod
    def _close(ends: list[socket.socket]) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
