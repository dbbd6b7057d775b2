"""What stands between a browser and a server, byte for byte, and can be cut like the server's own plug."""

import socket
import threading
from contextlib import suppress


class Relay:
    """Listens on `port`, by default any that is free, and passes everything on to another, until it is cut.

    To a browser a relay that is cut is a server that was killed: connections break in the middle, and nobody
    answers at that address. The server behind it lives on, and a new relay is a server that was started anew.
    """

    def __init__(self, behind: int, port: int = 0) -> None:
        self.behind = behind
        self._sockets: list[socket.socket] = [socket.create_server(("127.0.0.1", port))]
        self.port = self._sockets[0].getsockname()[1]
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and take no more."""
        with self._lock:
            for one in self._sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)  # wakes whoever reads from it
                one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._sockets[0].accept()
                far = socket.create_connection(("127.0.0.1", self.behind))
                with self._lock:
                    self._sockets += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
