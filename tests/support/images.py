"""Images of any size, as small as their formats allow."""

import struct
import zlib


def make_png(width: int, height: int, more: bytes = b"") -> bytes:
    """A red PNG image, with bytes that make it larger."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xb0\x30\x1c" * width) * height, 9)
    chunks = [(b"IHDR", header), (b"IDAT", rows), *([(b"teXt", more)] if more else []), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in chunks)


def make_gif(width: int, height: int) -> bytes:
    frame = b",\0\0\0\0" + struct.pack("<HH", width, height) + b"\0\2\2D\1\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\xb0\x30\x1c\xff\xff\xff" + frame + b";"


def make_jpeg(width: int, height: int) -> bytes:
    """The segments of a JPEG image, without its content: application data, quantization, frame, scan."""
    segments = [
        (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
        (0xDB, b"\0" + b"\x10" * 64),
        (0xC0, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"),
        (0xDA, b"\1\1\0\0\x3f\0"),
    ]
    body = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    return b"\xff\xd8" + body + b"\x7f\xff\xd9"
