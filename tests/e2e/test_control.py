"""A viewer moves the zoom, sees it, and takes a photograph; one without the token for it can't."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from peer.devices.barcode import read

from .browsers import Browser
from .peers import running_peer
from .test_watch import live, pictures

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE = ("--fake", "--port", "0", "--video", "640x480,facingMode=environment", "--audio", "none")

# What dragging a slider does.
MOVE = """(() => {{
  const input = document.getElementById("control-{name}");
  input.value = {value};
  input.dispatchEvent(new Event("input", {{ bubbles: true }}));
}})()"""

# The edges of the checked background in one row below the middle: fewer, the larger it is shown.
EDGES = """pictures.next(1).then(() => {
  let edges = 0, last = pictures.colour(0.001, 0.92, 0.002, 0.004)[1];
  for (let x = 0.005; x < 1; x += 0.005) {
    const value = pictures.colour(x, 0.92, 0.002, 0.004)[1];
    if (Math.abs(value - last) > 6) edges += 1;
    last = value;
  }
  return edges;
})"""

# The page may not fetch what it has made itself: keep the file when it is made.
KEEP = """(() => {
  const make = URL.createObjectURL;
  URL.createObjectURL = (blob) => { window.kept = blob; return make.call(URL, blob); };
})()"""

PHOTO = """new Promise((resolve) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.readAsDataURL(window.kept);
})"""


async def test_a_viewer_moves_the_zoom_and_takes_a_photograph(browser: Browser) -> None:
    async with running_peer(*PHONE) as peer:
        page = await live(browser, await peer.control_url())
        await page.wait_for("!document.getElementById('controls').hidden")
        await pictures(page, 1)
        # The first pictures are coarse.
        plain = await page.wait_for(f"{EDGES}.then((edges) => edges > 6 && edges)")
        await page.evaluate(MOVE.format(name="zoom", value=4))
        await page.wait_for(f"{EDGES}.then((edges) => edges <= {plain // 2})")
        shown = "document.querySelector('#control-zoom ~ output').textContent"
        await page.wait_for(f"{shown} === '4'")

        await page.evaluate(KEEP)
        await page.evaluate("document.getElementById('shutter').click()")
        await page.wait_for("document.querySelector('#photo img')?.naturalWidth === 1920")
        data = await page.evaluate(PHOTO)
        assert data.startswith("data:image/jpeg;base64,")
        image = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
        assert image.size == (1920, 1080), "the largest that the camera has, not the track's"
        assert read(np.asarray(image.convert("L"))) is not None
        assert image.getexif()[Base.Model] == "Cam C"
        assert "zoom 4" in image.getexif()[Base.ImageDescription]
        [picture] = await pictures(page, 1)
        assert (picture["width"], picture["height"]) == (640, 480), "the stream goes on as it was"
        assert page.errors == []
        await page.close()


async def test_two_viewers_see_what_one_of_them_sets(chromium: Browser) -> None:
    async with running_peer(*PHONE) as peer:
        address = await peer.control_url()
        first, second = await live(chromium, address), await live(chromium, address)
        for page in (first, second):
            await page.wait_for("!document.getElementById('controls').hidden")
        await first.evaluate(MOVE.format(name="zoom", value=3))
        await second.wait_for("document.getElementById('control-zoom').value === '3'")
        assert first.errors == second.errors == []
        await first.close()
        await second.close()


async def test_who_may_only_watch_has_no_controls(chromium: Browser) -> None:
    async with running_peer(*PHONE) as peer:
        page = await live(chromium, peer.url)
        await pictures(page, 1)
        assert await page.evaluate("document.getElementById('controls').hidden")
        assert await page.evaluate("document.getElementById('shutter')") is None
        await page.close()
