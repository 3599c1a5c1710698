"""A receiver behind TLS that closes each connection after its response, as one that is rarely called finds it.

It is a process of its own: `python -m benchmarks.nodes.tls_receiver CERTIFICATE KEY` prints its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.processes import ROOT, end
from tests.net.certificates import Authority

OK = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class TlsReceiver:
    """Use it in a `with`."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for certificates."""
        self.authority = folder / "authority.pem"
        self._files = [folder / "receiver.pem", folder / "receiver.key"]
        made = Authority()
        issued = made.issue()
        self.authority.write_text(made.pem)
        self._files[0].write_text(issued.certificate)
        self._files[1].write_text(issued.key)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.nodes.tls_receiver", *map(str, self._files)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        end(self._process)

    def url(self, path: str) -> str:
        """The URL of one of its paths; every path exists."""
        return f"https://localhost:{self._port}{path}"


async def _serve(certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        writer.write(OK)
        await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
