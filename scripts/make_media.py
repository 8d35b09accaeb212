# ruff: noqa: INP001 -- a script, not a package
"""Makes the small real recordings that the simulator ships, and checks that a real decoder accepts what it builds from them.

Needs PyAV, which the product does not: run it from a throw-away environment, from the root of the checkout.

    python3 -m venv /tmp/av && /tmp/av/bin/pip install av
    /tmp/av/bin/python scripts/make_media.py make      # writes archiver/simulator/media/
    /tmp/av/bin/python scripts/make_media.py check     # decodes every kind in several sizes
"""

import io
import math
import pathlib
import struct
import sys
from fractions import Fraction

import av

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEDIA = ROOT / "archiver" / "simulator" / "media"
CHECKED_SIZES = (1, 20_000, 100_001, 1_000_000)


def tone(rate: int, seconds: float, frequency: float = 440.0) -> bytes:
    """Mono 16-bit samples of a quiet sine."""
    count = int(rate * seconds)
    return struct.pack(f"<{count}h", *(int(6000 * math.sin(2 * math.pi * frequency * n / rate)) for n in range(count)))


def audio(
    name: str,
    container: str,
    codec: str,
    rate: int,
    seconds: float,
    *,
    bit_rate: int = 0,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> None:
    """A mono tone."""
    target = MEDIA / name
    with av.open(str(target), "w", format=container, options=muxer or {}) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono", options=options or {})
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame(format="s16", layout="mono", samples=int(rate * seconds))
        frame.planes[0].update(tone(rate, seconds))
        frame.sample_rate = rate
        frame.pts = 0
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))


def element(identity: str, content: bytes) -> bytes:
    """One EBML element with a size of eight bytes."""
    return bytes.fromhex(identity) + struct.pack(">Q", 1 << 56 | len(content)) + content


def mulaw(sample: int) -> int:
    """One sample in G.711 mu-law."""
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 0x84
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> (exponent + 3) & 0x0F) & 0xFF


def pcmu(name: str) -> None:
    """PyAV's muxer refuses mu-law in Matroska, though the format has it (A_MS/ACM): so this one is written by hand."""
    block = bytes(mulaw(sample) for (sample,) in struct.iter_unpack("<h", tone(8000, 0.02)))
    track = [("d7", b"\x01"), ("73c5", b"\x01"), ("83", b"\x02"), ("86", b"A_MS/ACM")]
    track += [("63a2", struct.pack("<HHIIHHH", 7, 1, 8000, 8000, 1, 8, 0))]
    track += [("e1", element("b5", struct.pack(">d", 8000.0)) + element("9f", b"\x01") + element("6264", b"\x08"))]
    blocks = b"".join(element("a3", struct.pack(">BhB", 0x81, 20 * number, 0x80) + block) for number in range(8))
    segment = element(
        "1549a966", element("2ad7b1", (1_000_000).to_bytes(3, "big")) + element("4d80", b"sim") + element("5741", b"sim")
    )
    segment += element("1654ae6b", element("ae", b"".join(element(*part) for part in track)))
    segment += element("1f43b675", element("e7", b"\x00") + blocks)
    head = [
        ("4286", b"\x01"),
        ("42f7", b"\x01"),
        ("42f2", b"\x04"),
        ("42f3", b"\x08"),
        ("4282", b"matroska"),
        ("4287", b"\x04"),
        ("4285", b"\x02"),
    ]
    (MEDIA / name).write_bytes(element("1a45dfa3", b"".join(element(*part) for part in head)) + element("18538067", segment))


def video(
    name: str,
    container: str,
    codec: str,
    *,
    frames: int = 6,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> None:
    """A few small pictures."""
    target = MEDIA / name
    with av.open(str(target), "w", format=container, options=muxer or {}) as out:
        stream = out.add_stream(codec, rate=10, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = Fraction(1, 10)
        for number in range(frames):
            picture = av.VideoFrame(64, 48, "yuv420p")
            for plane, value in zip(picture.planes, (40 + 20 * number, 90, 160), strict=True):
                row = bytes((value + x) & 0xFF for x in range(plane.line_size))
                plane.update(row * plane.height)
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def make() -> None:
    """Writes every seed file and says how large each is."""
    MEDIA.mkdir(parents=True, exist_ok=True)
    exact = {"fflags": "+bitexact"}
    opus = {"vbr": "off", "frame_duration": "20", "application": "voip"}
    audio("opus.ogg", "ogg", "libopus", 48000, 1.5, bit_rate=24000, options=opus, muxer=exact)
    audio("opus.mka", "matroska", "libopus", 48000, 0.5, bit_rate=24000, options=opus, muxer=exact)
    pcmu("pcmu.mka")
    audio(
        "tone.mp3",
        "mp3",
        "libmp3lame",
        16000,
        1.5,
        bit_rate=32000,
        options={"reservoir": "0"},
        muxer={"write_xing": "0", "id3v2_version": "0"},
    )
    vp8 = {"deadline": "realtime", "cpu-used": "8", "b": "60k"}
    video("vp8.webm", "webm", "libvpx", options=vp8, muxer=exact)
    video("vp9.webm", "webm", "libvpx-vp9", options=vp8, muxer=exact)
    video("vp8.mkv", "matroska", "libvpx", options=vp8, muxer=exact)
    h264 = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "info=0"}
    video("h264.mkv", "matroska", "libx264", options=h264, muxer=exact)
    video("h264.mp4", "mp4", "libx264", options=h264, muxer={**exact, "movflags": "+faststart"})
    for path in sorted(MEDIA.iterdir()):
        sys.stdout.write(f"{path.name:12} {path.stat().st_size:7}\n")


def decoded_frames(data: bytes) -> int:
    """How many frames a real decoder gets out of these bytes; errors propagate."""
    with av.open(io.BytesIO(data)) as source:
        return sum(1 for _ in source.decode(source.streams[0]))


def check() -> None:
    """Decodes every kind in several sizes; ends with an error at the first that does not decode."""
    sys.path.insert(0, str(ROOT))
    from archiver.simulator.media_file import Kind, MediaFile  # noqa: PLC0415 -- needs the path set above

    for kind in Kind:
        for size in CHECKED_SIZES:
            media = MediaFile(kind=kind, seed="check", size_hint=size)
            data = b"".join(media.chunks())
            frames = decoded_frames(data)
            sys.stdout.write(f"{kind.value:12} {media.size:9} bytes, {frames:6} frames decoded\n")
            if len(data) != media.size or frames == 0:
                raise SystemExit(f"{kind.value}: {len(data)} bytes built, {media.size} announced, {frames} frames decoded")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]]()
