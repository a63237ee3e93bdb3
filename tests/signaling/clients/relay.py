"""A relay in front of a server, which can lose what passes, and be cut."""

import asyncio


class Relay:
    """Passes TCP connections on to a port of this computer."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.up_swallowed = False
        """What clients say is lost."""
        self.down_swallowed = False
        """What the server says is lost."""
        self.refuses = False
        """New connections are cut at once."""
        self.accepted = asyncio.Event()
        """A connection came; set again by the next one."""
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Every connection breaks."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self.accepted.set()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        there, here = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, here}
        try:
            await asyncio.gather(
                self._pass(reader, here, "up_swallowed"),
                self._pass(there, writer, "down_swallowed"),
            )
        finally:
            self._writers -= {writer, here}

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallowed: str
    ) -> None:
        try:
            while data := await reader.read(65536):
                if not getattr(self, swallowed):
                    writer.write(data)
                    await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
