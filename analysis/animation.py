"""Animations: an image while one latent at a time goes through the range it takes; response maps as they come to be.

    frames = animate(vae, latents)
    save(frames, "figures/traversal_<run>.gif", milliseconds=60)
"""
import contextlib

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from analysis import maps
from analysis.map_sheets import colours
from analysis.plotting import symbol
from training import checkpoints
from training.folder import replacing
from training.pictures import visible
from training.progress import say

FRAMES, TILE, LINE, GAP = 16, 128, 30, 4  # frames one way; sides of a tile, height of its text, and of a gap, in dots
COLUMNS, COLOURS = 6, 40
MAP = 180                                 # dots along a response map, or a few more
WHITE = 5                                 # frames before a latent does something


def font_of(size):
    """matplotlib's own font, which has Greek letters."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def animate(vae, latents):
    """Frames, images in NumPy: in its own tile each latent goes through the range it takes, the others stay as in an
    image that it changes. Above a tile stand latent and stddev, and a bar that shows where in its range it is. There
    and back."""
    low, high = maps.ranges(vae, latents).T
    place = (1 - np.cos(np.linspace(0, np.pi, FRAMES))) / 2                       # 0 to 1
    images = maps.traverse(vae, maps.bases(vae, latents), latents, low[:, None] + (high - low)[:, None] * place)
    images = visible(images, vae.data.image_shape)
    enlarged = np.arange(TILE) * images.shape[2] // TILE
    tiles = np.uint8(np.round(images * 255))[:, :, enlarged][:, :, :, enlarged]
    columns = min(COLUMNS, len(latents))
    rows = -(-len(latents) // columns)
    font = font_of(13)
    empty = Image.new("L" if tiles.ndim == 4 else "RGB", (columns * (TILE + GAP) - GAP, rows * (TILE + LINE)), "white")
    corners = [(tile % columns * (TILE + GAP), tile // columns * (TILE + LINE)) for tile in range(len(latents))]
    draw = ImageDraw.Draw(empty)
    for latent, (left, top) in zip(latents, corners, strict=True):
        text = f"{symbol(latent)}  stddev {vae.stddev[latent]:.2f}"
        draw.text((left + 2, top + 2), text, fill="black", font=font)
        draw.line((left, top + LINE - 6, left + TILE - 1, top + LINE - 6), fill="#aaaaaa")
    frames = []
    for frame in range(FRAMES):
        canvas = empty.copy()
        for tile, (left, top) in enumerate(corners):
            at = left + 3 + place[frame] * (TILE - 7)
            ImageDraw.Draw(canvas).rectangle((at - 3, top + LINE - 10, at + 3, top + LINE - 3), fill="black")
            canvas.paste(Image.fromarray(tiles[tile, frame]), (left, top + LINE))
        frames.append(np.array(canvas))
    return frames + frames[-2:0:-1]


def grow(run):
    """Frames, coloured images in NumPy: the response maps of the latents that are active at the end, at the run's
    checkpoints, from just before one of them does something."""
    vae, view, latents = run.vae, run.data.views[0], run.vae.active[:COLUMNS]
    betas = {row[0]: row[4] for row in run.losses}
    steps, found = [], []
    for step in reversed(checkpoints.steps(run.path)):
        with contextlib.suppress(ValueError):  # a damaged one, which makes no frame
            then = vae.at(step)
            found.append(maps.response_map(then, view, latents))
            steps.append(step)
    maps_of, limit = maps.centred(np.array(found))
    born = int((np.abs(np.nan_to_num(maps_of)) > 0.3).any(axis=(1, 2, 3)).argmax())  # the first that is not white
    steps, maps_of = steps[max(born - WHITE, 0):], maps_of[max(born - WHITE, 0):]
    paint, font = colours(), font_of(14)
    times = -(-MAP // view.cells)
    side, height = times * view.cells, times * maps_of.shape[2]  # of a line, a row a curve
    frames = []
    for step, values in zip(steps, maps_of, strict=True):
        canvas = Image.new("RGB", (len(latents) * (side + GAP) - GAP, height + 2 * LINE), "white")
        draw = ImageDraw.Draw(canvas)
        draw.text((4, 6), f"step {step:,}   β = {betas.get(step, run.flags.beta):.3g}", fill="black", font=font)
        for place, (latent, value) in enumerate(zip(latents, values, strict=True)):
            tile = np.uint8(paint((value / limit + 1) / 2)[..., :3] * 255).repeat(times, axis=0).repeat(times, axis=1)
            left = place * (side + GAP)
            draw.text((left + side // 2, LINE + 6), symbol(latent), fill="black", font=font, anchor="ma")
            canvas.paste(Image.fromarray(tile), (left, 2 * LINE))
        frames.append(np.array(canvas))
    return frames + frames[-1:] * 10  # a while at the end


def save(frames, path, milliseconds):
    """A GIF that repeats for ever, whole or not at all, in few colours, the same in all frames, to keep it small."""
    if frames[0].ndim == 2:
        images = [grey(frame) for frame in frames]
    else:
        palette = Image.fromarray(np.concatenate(frames[::5])).quantize(COLOURS)
        images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    with replacing(path) as new:
        images[0].save(new, format="GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0)
    say(path)


def grey(frame):
    """A grey image in evenly spaced shades. (Pillow's choice of shades takes three times as long.)"""
    image = Image.fromarray(np.uint8(np.round(frame / 255 * (COLOURS - 1))))
    image.putpalette(np.linspace(0, 255, COLOURS).astype(np.uint8).repeat(3).tobytes())
    return image
