"""Files that are sent while they are read, a chunk at a time, each in a slot of the heavy reads."""

from collections.abc import Iterator

from fastapi.responses import StreamingResponse

from api.use_cases.heavy_reads import HeavyReads


def stream_file(heavy_reads: HeavyReads, chunks: Iterator[bytes], media_type: str, name: str) -> StreamingResponse:
    """Return the response that sends a file to be stored under a name."""
    return StreamingResponse(heavy_reads.stream(chunks), media_type=media_type, headers=describe_file(name))


def describe_file(name: str) -> dict[str, str]:
    """Return the header of a response that a browser stores under a name."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
