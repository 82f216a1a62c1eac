"""A WebRTC stack that shares no line with the server: Python and aiortc.

    /usr/bin/python3 rtc.py publish WHIP_URL STREAM_KEY H264|VP8     until its input is closed
    /usr/bin/python3 rtc.py play WHEP_URL H264|VP8                   two seconds of picture and sound

Prints nothing when all is well; an assertion says what is not.
"""

import asyncio
import fractions
import math
import os
import sys
import time
import traceback
import urllib.error
import urllib.request
from urllib.parse import urljoin

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av import AudioFrame, VideoFrame

WIDTH, HEIGHT, FPS = 320, 240, 24
# Left and right half of the picture; a codec keeps them about so.
BRIGHT, DARK, ABOUT = 200, 50, 12
RATE, TONE_HZ, LOUDNESS = 48_000, 440, 8_000
PICTURES, SOUND_S = 2 * FPS, 2
# Everything happens within this, in seconds.
PATIENCE = 30


class Clocked(MediaStreamTrack):
    """Frames in real time."""

    def __init__(self, per_frame_s):
        super().__init__()
        self.started, self.number, self.per_frame_s = None, 0, per_frame_s

    async def next_number(self):
        self.started = self.started or time.monotonic()
        wait = self.started + self.number * self.per_frame_s - time.monotonic()
        await asyncio.sleep(max(0, wait))
        self.number += 1
        return self.number - 1


class Halves(Clocked):
    """A bright and a dark half, and a grey bar that moves over both."""

    kind = "video"

    def __init__(self):
        super().__init__(1 / FPS)

    async def recv(self):
        number = await self.next_number()
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        bar = number % HEIGHT
        row = bytes([BRIGHT]) * (WIDTH // 2) + bytes([DARK]) * (WIDTH // 2)
        luma, *colours = frame.planes
        grey = bytes([128])
        lines = [(grey * WIDTH if y == bar else row).ljust(luma.line_size, b"\0") for y in range(HEIGHT)]
        luma.update(b"".join(lines))
        for plane in colours:
            plane.update(grey * plane.buffer_size)
        frame.pts, frame.time_base = number * 90_000 // FPS, fractions.Fraction(1, 90_000)
        return frame


class Tone(Clocked):
    """A sine, in pieces of 20 ms."""

    kind = "audio"

    def __init__(self):
        super().__init__(0.02)

    async def recv(self):
        number = await self.next_number()
        samples = RATE // 50
        frame = AudioFrame(format="s16", layout="mono", samples=samples)
        at = range(number * samples, (number + 1) * samples)
        wave = (int(LOUDNESS * math.sin(2 * math.pi * TONE_HZ * n / RATE)) for n in at)
        frame.planes[0].update(b"".join(value.to_bytes(2, "little", signed=True) for value in wave))
        frame.pts, frame.sample_rate, frame.time_base = number * samples, RATE, fractions.Fraction(1, RATE)
        return frame


def request(method, url, key=None, body=None, kind="application/sdp"):
    headers = {"content-type": kind}
    if key:
        headers["authorization"] = f"Bearer {key}"
    made = urllib.request.Request(url, method=method, data=body and body.encode(), headers=headers)
    return urllib.request.urlopen(made, timeout=PATIENCE)


def connection():
    # No servers: everything is on this machine.
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def prefer(peer, codec):
    """Offers no other codec for the picture."""
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "video":
            known = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences([known_one for known_one in known if known_one.name == codec])


async def open_session(peer, url, key=None):
    """Posts the offer, again while there is no picture yet; returns the session's address."""
    await peer.setLocalDescription(await peer.createOffer())
    until = time.monotonic() + PATIENCE
    while True:
        try:
            answer = await asyncio.to_thread(request, "POST", url, key, peer.localDescription.sdp)
            break
        except urllib.error.HTTPError as refused:
            assert refused.code == 409 and time.monotonic() < until, f"{refused.code}: {refused.read().decode()}"
            assert int(refused.headers["retry-after"]) > 0
            await asyncio.sleep(0.2)
    assert answer.status == 201 and answer.headers["etag"].startswith('"'), answer.headers
    await peer.setRemoteDescription(RTCSessionDescription(answer.read().decode(), "answer"))
    return urljoin(url, answer.headers["location"])


async def close(peer, session, key=None):
    assert (await asyncio.to_thread(request, "DELETE", session, key)).status == 200
    await peer.close()


async def publish(url, key, codec):
    peer = connection()
    peer.addTransceiver(Halves(), direction="sendonly")
    peer.addTransceiver(Tone(), direction="sendonly")
    prefer(peer, codec)
    session = await open_session(peer, url, key)
    await asyncio.to_thread(sys.stdin.read)
    assert peer.connectionState == "connected", peer.connectionState
    await close(peer, session, key)


async def see(track):
    """Pictures that are what was sent, and move."""
    bars, since = set(), time.monotonic()
    for _ in range(PICTURES):
        frame = await track.recv()
        assert (frame.width, frame.height) == (WIDTH, HEIGHT), frame
        plane = frame.planes[0]
        luma = bytes(plane)
        row = lambda y: luma[y * plane.line_size : y * plane.line_size + WIDTH]
        halves = [(row(y)[WIDTH // 4], row(y)[WIDTH * 3 // 4]) for y in range(0, HEIGHT, 2)]
        good = [abs(left - BRIGHT) < ABOUT and abs(right - DARK) < ABOUT for left, right in halves]
        assert sum(good) > HEIGHT // 2 * 0.9, halves
        bars.add(min(range(HEIGHT), key=lambda y: row(y)[WIDTH // 4]))
    assert len(bars) > PICTURES // 2, f"the picture stands still: {bars}"
    assert time.monotonic() - since < 3 * PICTURES / FPS, "the picture is too slow"


async def hear(track):
    """The tone, by its zero crossings after the codec has settled."""
    heard, crossings, loudest, last = 0, 0, 0, 0
    while heard < SOUND_S * RATE:
        frame = await track.recv()
        channels = len(frame.layout.channels)
        values = memoryview(bytes(frame.planes[0])[: frame.samples * channels * 2]).cast("h")[::channels]
        if heard > RATE // 2:
            loudest = max(loudest, max(values))
            for value in values:
                crossings += last < 0 <= value
                last = value
        heard += frame.samples * RATE // frame.sample_rate
    tone_hz = crossings / (SOUND_S - 0.5)
    assert abs(tone_hz - TONE_HZ) < TONE_HZ * 0.1, f"a tone of {tone_hz} Hz"
    assert loudest > LOUDNESS / 2, f"only {loudest} loud"


async def play(url, codec):
    peer = connection()
    peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    prefer(peer, codec)
    session = await open_session(peer, url)
    video, audio = [transceiver.receiver.track for transceiver in peer.getTransceivers()]
    await asyncio.wait_for(asyncio.gather(see(video), hear(audio)), PATIENCE)
    await close(peer, session)


if __name__ == "__main__":
    act = {"publish": publish, "play": play}[sys.argv[1]]
    try:
        asyncio.run(act(*sys.argv[2:]))
    except BaseException:
        # Threads of the library that nobody closed would keep the process.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
