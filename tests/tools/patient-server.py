"""An HTTP server that never closes first: it answers each request and waits for the client's end.
Prints "port N", and on SIGTERM "answered N"."""
import asyncio
import signal

ANSWER = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"
answered = 0


async def serve(reader, writer):
    global answered
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
            await writer.drain()
            answered += 1
    except (asyncio.IncompleteReadError, ConnectionResetError):
        pass
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    print("answered", answered, flush=True)


asyncio.run(main())
