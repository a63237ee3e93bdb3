"""Grab a frame from a camera and save it as a PNG file.

python examples/grab_frame.py frame.png
"""

import asyncio
import sys
from pathlib import Path

from peer import ImageCapture, mediaDevices


async def main(path: Path) -> tuple[int, int]:
    stream = await mediaDevices.getUserMedia({"video": True})
    [track] = stream.getVideoTracks()
    bitmap = await ImageCapture(track).grabFrame()
    size = (bitmap.width, bitmap.height)
    png = await asyncio.to_thread(bitmap.to_png)
    await asyncio.to_thread(path.write_bytes, png)
    bitmap.close()
    track.stop()
    print(f"{path}: {size[0]}x{size[1]}")
    return size


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "frame.png")))
