"""Switch a camera's lamp on for as long as somebody captures.

python examples/torch.py
"""

import asyncio

from peer import mediaDevices


async def main(seconds: float = 3.0) -> bool:
    stream = await mediaDevices.getUserMedia({"video": {"facingMode": "environment"}})
    [track] = stream.getVideoTracks()
    if True not in track.getCapabilities().get("torch", []):
        print(f"{track.label} has no lamp")
        track.stop()
        return False
    await track.applyConstraints({"advanced": [{"torch": True}]})
    lit = track.getSettings()["torch"]
    print(f"the lamp of {track.label} is {'on' if lit else 'off'}")
    await asyncio.sleep(seconds)
    track.stop()  # and it goes out
    return lit


if __name__ == "__main__":
    asyncio.run(main())
