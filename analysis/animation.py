"""Animations: an image while one latent at a time goes through the range it takes; response maps as they come to be.

    frames = animate(vae, latents)
    save(frames, "figures/traversal_<run>.gif", milliseconds=60)
"""
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from analysis import maps
from analysis.scores import code_of
from training import checkpoints, tables
from training.folder import replacing
from training.loader import TrainedVAE
from training.progress import say

FRAMES, TILE, LINE, GAP = 16, 128, 30, 4  # frames one way; sides of a tile, height of its text, and of a gap, in dots
COLUMNS, COLOURS = 6, 40
MAP = 3                                   # dots a side of a response map's cell
WHITE = 5                                 # frames before a latent does something


def font_of(size):
    """matplotlib's own font, which has Greek letters."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def animate(vae, latents):
    """Frames, grey images in NumPy: in its own tile each latent goes through the range it takes, the others stay as in
    the first image of the sample. Above a tile stand latent and stddev, and a bar that shows where in its range it
    is. There and back."""
    mean, stddev = code_of(vae)
    low, high = maps.ranges(vae, latents).T
    place = (1 - np.cos(np.linspace(0, np.pi, FRAMES))) / 2                       # 0 to 1
    images = maps.traverse(vae, mean[0], latents, low[:, None] + (high - low)[:, None] * place)
    tiles = np.uint8(np.round(images * 255)).repeat(TILE // images.shape[2], axis=2).repeat(TILE // images.shape[3],
                                                                                            axis=3)
    columns = min(COLUMNS, len(latents))
    rows = -(-len(latents) // columns)
    font = font_of(13)
    empty = Image.new("L", (columns * (TILE + GAP) - GAP, rows * (TILE + LINE)), 255)
    corners = [(tile % columns * (TILE + GAP), tile // columns * (TILE + LINE)) for tile in range(len(latents))]
    draw = ImageDraw.Draw(empty)
    for latent, (left, top) in zip(latents, corners, strict=True):
        text = f"{maps.symbol(latent)}  stddev {stddev[:, latent].mean():.2f}"
        draw.text((left + 2, top + 2), text, fill=0, font=font)
        draw.line((left, top + LINE - 6, left + TILE - 1, top + LINE - 6), fill=170)
    frames = []
    for frame in range(FRAMES):
        canvas = empty.copy()
        for tile, (left, top) in enumerate(corners):
            at = left + 3 + place[frame] * (TILE - 7)
            ImageDraw.Draw(canvas).rectangle((at - 3, top + LINE - 10, at + 3, top + LINE - 3), fill=0)
            canvas.paste(Image.fromarray(tiles[tile, frame]), (left, top + LINE))
        frames.append(np.array(canvas))
    return frames + frames[-2:0:-1]


def grow(run, prefixes):
    """Frames, coloured images in NumPy: the response maps of the latents that are active at the end, at some of a run's
    checkpoints, from just before one of them does something. prefixes: step -> prefix."""
    latents = run.vae.active[:COLUMNS]
    betas = {row[0]: row[4] for row in tables.read_losses(run.path)[0] if len(row) > 4}
    vae = TrainedVAE(checkpoints.new_model(run.flags), run.flags, run.step)  # since run.vae's weights are to stay
    steps, found = list(prefixes), []
    for prefix in prefixes.values():
        checkpoints.read_weights(vae.model, prefix)
        found.append(maps.over_box(vae.encode_positions(maps.grid_of_positions())[0][:, latents]))
    maps_of, limit = maps.centred(np.array(found))
    born = int((np.abs(maps_of) > 0.3).any(axis=(1, 2, 3)).argmax())  # the first frame that is not white
    steps, maps_of = steps[max(born - WHITE, 0):], maps_of[max(born - WHITE, 0):]
    paint = maps.colours()
    font = font_of(14)
    side = MAP * maps.GRID
    frames = []
    for step, values in zip(steps, maps_of, strict=True):
        canvas = Image.new("RGB", (len(latents) * (side + GAP) - GAP, side + LINE), "white")
        beta = f"   β = {betas.get(step, run.flags.beta):.3g}"
        ImageDraw.Draw(canvas).text((4, 6), f"step {step:,}{beta}", fill="black", font=font)
        for place, value in enumerate(values):
            tile = np.uint8(paint((value / limit + 1) / 2)[..., :3] * 255).repeat(MAP, axis=0).repeat(MAP, axis=1)
            canvas.paste(Image.fromarray(tile), (place * (side + GAP), LINE))
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
