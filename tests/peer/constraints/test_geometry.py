import pytest

from peer.constraints.geometry import crop_rectangle


@pytest.mark.parametrize(
    ("native", "output", "rectangle"),
    [
        ((640, 480), (640, 480), (0, 0, 640, 480)),
        ((640, 480), (320, 240), (0, 0, 640, 480)),
        ((1280, 720), (640, 480), (160, 0, 960, 720)),
        ((640, 480), (640, 360), (0, 60, 640, 360)),
        ((640, 480), (300, 300), (80, 0, 480, 480)),
        ((1280, 720), (1000, 562), (0, 0, 1280, 720)),
        ((10, 10), (1, 10), (4, 0, 1, 10)),
        ((1920, 1080), (593, 333), (0, 0, 1920, 1080)),
    ],
)
def test_the_largest_centred_part_of_the_outputs_shape(
    native: tuple[int, int], output: tuple[int, int], rectangle: tuple[int, int, int, int]
) -> None:
    assert crop_rectangle(*native, *output) == rectangle
