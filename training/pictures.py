"""Images as they are looked at, whatever their channels.

    shown = visible(images, data.image_shape)
    write(path, visible(image, data.image_shape))
"""
import numpy as np

from training.process import refuse


def opencv():
    """OpenCV; refused, with a hint, where it does not load, as on a machine without a screen's libraries."""
    try:
        import cv2
    except ImportError as error:
        refuse(f"OpenCV does not load: {error}. Debian and Ubuntu: apt install libgl1 libglib2.0-0; or use "
               "opencv-python-headless")
    return cv2


def visible(images, image_shape):
    """Images [..., n, n, channels] as they are shown: three channels in colour, [..., n, n, 3]; of any other number
    their mean in grey, [..., n, n]. What is without its one channel, as decoded images are, stays."""
    if images.shape[-3:] != tuple(image_shape) or image_shape[-1] == 3:
        return images
    return images.mean(axis=-1)


def write(path, image):
    """Write an image from 0 to 1, grey or in colour, as what the path's ending says. Raises OSError."""
    pixels = np.uint8(np.round(image * 255))
    if not opencv().imwrite(path, pixels if pixels.ndim == 2 else pixels[..., ::-1]):  # its order is BGR
        raise OSError(f"{path} cannot be written")
