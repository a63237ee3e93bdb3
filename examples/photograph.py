"""Take a photograph: as the camera compressed it, or in the largest mode that it has.

python examples/photograph.py photo.jpg
"""

import asyncio
import sys
from pathlib import Path

from peer import ImageCapture, mediaDevices


async def main(path: Path) -> int:
    stream = await mediaDevices.getUserMedia({"video": True})
    [track] = stream.getVideoTracks()
    capture = ImageCapture(track)
    capabilities = await capture.getPhotoCapabilities()
    width, height = capabilities["imageWidth"]["max"], capabilities["imageHeight"]["max"]
    print(f"{track.label} takes photographs of up to {width:g}x{height:g}")
    photo = await capture.takePhoto({"imageWidth": width, "imageHeight": height})
    await asyncio.to_thread(path.write_bytes, bytes(photo))
    track.stop()
    print(f"{path}: {photo.type}, {photo.size} bytes")
    return photo.size


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "photo.jpg")))
