"""Move the zoom through its range (the first example of MediaStream Image Capture).

python examples/zoom.py
"""

import asyncio

from peer import mediaDevices


async def main() -> list[float]:
    stream = await mediaDevices.getUserMedia({"video": {"zoom": True}})
    [track] = stream.getVideoTracks()
    capabilities, settings = track.getCapabilities(), track.getSettings()
    if "zoom" not in capabilities:
        print(f"{track.label} has no zoom")
        track.stop()
        return []
    # What a page would make a slider of.
    slider = capabilities["zoom"]
    print(f"{track.label}: {slider['min']:g} to {slider['max']:g}, now {settings['zoom']:g}")
    seen = []
    for part in (0.0, 0.5, 1.0):
        wanted = slider["min"] + part * (slider["max"] - slider["min"])
        await track.applyConstraints({"advanced": [{"zoom": wanted}]})
        seen.append(track.getSettings()["zoom"])
        print(f"zoom {seen[-1]:g}")
    track.stop()
    return seen


if __name__ == "__main__":
    asyncio.run(main())
