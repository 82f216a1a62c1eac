"""A client of the hub that shares no line with the server: Python and the `websockets` package.

    /usr/bin/python3 hub.py ws://127.0.0.1:8080/v1/lives/live_…/hub

Somebody has to change pins meanwhile. Prints nothing when all is well; an assertion says what is not.
"""

import asyncio
import json
import sys

import websockets

JSON, PROTO = "hanamichi.v1.json", "hanamichi.v1.proto"
# Answers come within this, in seconds.
PATIENCE = 20
# Ordered events that are awaited before and after each cut.
SOME = 10
CUTS = 5


async def receive(socket):
    return await asyncio.wait_for(socket.recv(), PATIENCE)


async def until(socket, find):
    """The first frame in which `find` finds something, and that."""
    while True:
        frame = json.loads(await receive(socket))
        found = find(frame)
        if found:
            return found


class Watcher:
    """Checks that seqs have no holes, over connections."""

    def __init__(self):
        self.epoch, self.seq, self.pins = "", 0, 0

    def take(self, frame):
        assert "snapshot" not in frame, "a jump"
        batch = frame.get("batch", {})
        assert not batch or batch["epoch"] == self.epoch
        for ordered in batch.get("ordered", []):
            assert int(ordered["seq"]) == self.seq + 1, f"{ordered['seq']} after {self.seq}"
            self.seq += 1
            self.pins += "pinned" in ordered

    async def watch(self, socket, events):
        goal = self.seq + events
        while self.seq < goal:
            self.take(json.loads(await receive(socket)))


async def in_json(url):
    watcher = Watcher()
    # Compression is offered, and nobody takes it.
    async with websockets.connect(url, subprotocols=[JSON], compression="deflate") as socket:
        assert socket.subprotocol == JSON
        assert not socket.extensions, socket.extensions
        await socket.send(json.dumps({"resume": {}}))
        snapshot = await until(socket, lambda frame: frame.get("snapshot"))
        watcher.epoch, watcher.seq = snapshot["epoch"], int(snapshot.get("seq", 0))
        assert snapshot["live"]["state"] == "live" and snapshot["pins"], snapshot
        await asyncio.wait_for(await socket.ping(b"there?"), PATIENCE)
    for cut in range(CUTS):
        socket = await websockets.connect(url, subprotocols=[JSON], compression=None)
        resume = {"resume": {"epoch": watcher.epoch, "seq": str(watcher.seq)}}
        await socket.send(json.dumps(resume))
        resumed = await until(socket, lambda frame: frame.get("resumed"))
        assert (resumed["epoch"], int(resumed["seq"])) == (watcher.epoch, watcher.seq)
        await watcher.watch(socket, SOME)
        if cut == 0:
            # One message in four frames.
            await socket.send(['{"id":"5",', '"ping":{', '"clientAtMs":', '"42"}}'])
            while True:
                frame = json.loads(await receive(socket))
                watcher.take(frame)
                if "pong" in frame:
                    assert frame["pong"]["clientAtMs"] == "42", frame
                    break
            await socket.send(json.dumps({"id": "6", "sendChat": {"text": "hi"}}))
            while True:
                frame = json.loads(await receive(socket))
                watcher.take(frame)
                if "reply" in frame:
                    assert frame["reply"]["problem"]["type"] == "/problems/not-signed-in", frame
                    break
        # Cut without a closing handshake.
        socket.transport.abort()
    assert watcher.pins > 0, "no pin was seen"


async def in_protobuf(url):
    async with websockets.connect(url, subprotocols=[PROTO, JSON]) as socket:
        assert socket.subprotocol == PROTO
        # ClientFrame { resume: {} }
        await socket.send(b"\x12\x00")
        first = await receive(socket)
        # ServerFrame { snapshot: … }
        assert isinstance(first, bytes) and first[0] == 0x0A, first[:16]
        # ClientFrame { id: 7, ping: { client_at_ms: 1 } }, and ServerFrame { pong: { client_at_ms: 1, … } }
        await socket.send(b"\x08\x07\x42\x02\x08\x01")
        while not (await receive(socket)).startswith(b"\x32"):
            pass


async def badly(url):
    async with websockets.connect(url, subprotocols=[JSON]) as socket:
        await socket.send(b"binary")
        try:
            while True:
                await receive(socket)
        except websockets.ConnectionClosed:
            assert socket.close_code == 1003, socket.close_code
    try:
        await websockets.connect(url.replace("/live_", "/live_0"), subprotocols=[JSON])
        raise AssertionError("there is no such live")
    except websockets.InvalidStatusCode as refused:
        assert refused.status_code in (400, 404), refused


async def main(url):
    await in_json(url)
    await in_protobuf(url)
    await badly(url)


asyncio.run(main(sys.argv[1]))
