"""The part of a picture that is kept when it is turned into another size."""


def crop_rectangle(
    native_width: int, native_height: int, width: int, height: int
) -> tuple[int, int, int, int]:
    """The largest centred rectangle (x, y, width, height) of a native picture that has the aspect
    ratio of the output; offsets are even, as subsampled colour needs it.

    An output that has the native aspect ratio to the nearest pixel takes all of the picture.
    """
    if (
        abs(width - native_width * height / native_height) < 1
        or abs(height - native_height * width / native_width) < 1
    ):
        return 0, 0, native_width, native_height
    if native_width * height > native_height * width:
        crop_width, crop_height = round(native_height * width / height), native_height
    else:
        crop_width, crop_height = native_width, round(native_width * height / width)
    crop_width, crop_height = max(1, crop_width), max(1, crop_height)
    x = (native_width - crop_width) // 2 & ~1
    y = (native_height - crop_height) // 2 & ~1
    return x, y, crop_width, crop_height
