"""Animations: an image while one latent at a time goes through the range it takes.

    frames = animate(vae, latents)
    save(frames, "figures/traversal_<run>.gif")
"""
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from analysis import maps
from analysis.scores import code_of

FRAMES, TILE, LINE, GAP = 16, 128, 30, 4  # frames one way; sides of a tile, height of its text, and of a gap, in dots
COLUMNS, GREYS = 6, 32


def animate(vae, latents):
    """Frames, grey images in NumPy: in its own tile each latent goes through the range it takes, the others stay as in
    the first image of the sample. Above a tile stand latent and stddev, and a bar that shows where in its range it
    is."""
    mean, stddev = code_of(vae)
    low, high = maps.ranges(vae, latents).T
    place = (1 - np.cos(np.linspace(0, np.pi, FRAMES))) / 2                       # 0 to 1
    images = maps.traverse(vae, mean[0], latents, low[:, None] + (high - low)[:, None] * place)
    tiles = np.uint8(np.round(images * 255)).repeat(TILE // images.shape[2], axis=2).repeat(TILE // images.shape[3],
                                                                                            axis=3)
    columns = min(COLUMNS, len(latents))
    rows = -(-len(latents) // columns)
    font = ImageFont.load_default(size=13)
    frames = []
    for frame in range(FRAMES):
        canvas = Image.new("L", (columns * (TILE + GAP) - GAP, rows * (TILE + LINE)), 255)
        draw = ImageDraw.Draw(canvas)
        for tile, latent in enumerate(latents):
            left, top = tile % columns * (TILE + GAP), tile // columns * (TILE + LINE)
            draw.text((left + 2, top + 2), f"z{latent}  stddev {stddev[:, latent].mean():.2f}", fill=0, font=font)
            draw.line((left, top + LINE - 6, left + TILE - 1, top + LINE - 6), fill=170)
            at = left + 3 + place[frame] * (TILE - 7)
            draw.rectangle((at - 3, top + LINE - 10, at + 3, top + LINE - 3), fill=0)
            canvas.paste(Image.fromarray(tiles[tile, frame]), (left, top + LINE))
        frames.append(np.array(canvas))
    return frames


def save(frames, path, milliseconds=60):
    """A GIF that goes there and back for ever, whole or not at all, in few greys to keep it small."""
    steps = GREYS - 1
    images = [Image.fromarray(np.uint8(np.round(frame / 255 * steps) * (255 / steps)))
              for frame in frames + frames[-2:0:-1]]
    images[0].save(path + ".new", format="GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    os.replace(path + ".new", path)
    print(path)
