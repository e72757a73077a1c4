"""Cheap variation of a rendered sample: framing, colour, blur, noise, bars. All on bytes, about 1 ms."""

import math

import cv2
import numpy as np
from numpy.random import Generator

cv2.setNumThreads(1)
IGNORE = np.float32(np.nan)  # target where nothing is to be learnt
NOISE = np.random.default_rng(0).normal(0, 16, 1 << 22).astype(np.int16)
GREY = np.full((3, 3), 1 / 3)


def forget_bars(rgb: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Black bars in the rendered picture hide the scene: nothing is to be learnt of its depth there."""
    for axis in (0, 1):
        if rgb.take((0, -1), axis).max() > 12:
            continue
        lit = np.flatnonzero(rgb.max(axis=(1 - axis, 2)) > 12)
        if len(lit) == 0:
            continue
        before, after = int(lit[0]), rgb.shape[axis] - 1 - int(lit[-1])
        if abs(before - after) <= 2 and 4 <= before < rgb.shape[axis] // 3:
            inverse = inverse.copy()
            along = inverse if axis == 0 else inverse.T
            along[:before] = along[len(along) - after :] = IGNORE
    return inverse


def crop(rgb: np.ndarray, inverse: np.ndarray, size: tuple[int, int], r: Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random part of about the right aspect, scaled to `size` (h,w); depth keeps its sharp edges."""
    height, width = size
    h, w = inverse.shape
    aspect = width / height * math.exp(r.normal(0, 0.08))
    ch = min(h, w / aspect)
    cw = ch * aspect
    # often all of it: a part is what a long lens sees, and how wide a view is decides how far things are
    zoom = r.uniform(0.5, 1.0) if r.random() < 0.35 else 1.0
    ch, cw = max(int(ch * zoom), 32), max(min(int(cw * zoom), w), 32)
    top, left = int(r.integers(0, h - ch + 1)), int(r.integers(0, w - cw + 1))
    part = rgb[top : top + ch, left : left + cw]
    enlarge = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(r.integers(2))]
    rgb = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if ch > height else enlarge)
    rows = top + ((np.arange(height) + 0.5) * ch / height).astype(int)
    columns = left + ((np.arange(width) + 0.5) * cw / width).astype(int)
    return rgb, inverse[rows][:, columns].astype(np.float32)


def paste(rgb: np.ndarray, inverse: np.ndarray, other: tuple[np.ndarray, np.ndarray], r: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Put the nearest thing of another sample in front of this one: an outline is what makes near."""
    front, depth = other
    near = float(np.quantile(depth[::4, ::4], r.uniform(0.75, 0.95)))
    mask = (depth > max(near, 1e-4)).astype(np.uint8)
    if not 0.02 < mask.mean() < 0.4:
        return rgb, inverse
    shift = np.float32([[1, 0, r.uniform(-0.3, 0.3) * rgb.shape[1]], [0, 1, r.uniform(-0.2, 0.3) * rgb.shape[0]]])
    size = (rgb.shape[1], rgb.shape[0])
    mask = cv2.warpAffine(mask, shift, size, flags=cv2.INTER_NEAREST)
    front = cv2.warpAffine(front, shift, size, flags=cv2.INTER_NEAREST)
    depth = cv2.warpAffine(depth, shift, size, flags=cv2.INTER_NEAREST)
    inside = mask > 0
    if not inside.any():
        return rgb, inverse
    # just in front of the nearest that it covers
    factor = float(np.nan_to_num(inverse[inside]).max()) * r.uniform(1.05, 1.8) / max(float(depth[inside].min()), 1e-4)
    alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), r.uniform(0.3, 0.7))[..., None]
    rgb = (rgb * (1 - alpha) + front * alpha).astype(np.uint8)
    return rgb, np.where(inside, depth * factor, inverse)


def colour(rgb: np.ndarray, r: Generator) -> np.ndarray:
    """Exposure, gamma, contrast, white balance, saturation, now and then other or no colours."""
    x = np.arange(256, dtype=np.float32)[:, None] / 255
    x = x ** math.exp(r.normal(0, 0.22)) * np.exp(r.normal(0, 0.06, 3)).astype(np.float32)
    contrast, gain = math.exp(r.normal(0, 0.2)), math.exp(r.normal(0, 0.18))
    middle = r.uniform(0.3, 0.5)
    x = ((x - middle) * contrast + middle) * gain
    if r.random() < 0.06:  # night, or blown highlights
        x = x * (r.uniform(0.1, 0.4) if r.random() < 0.6 else r.uniform(1.5, 2.5))
    if r.random() < 0.05:  # haze
        veil = r.uniform(0.1, 0.5)
        x = x * (1 - veil) + veil * r.uniform(0.5, 0.95)
    table = (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)[None]
    saturation = r.uniform(0.4, 1.5) if r.random() < 0.88 else 0.0
    mixing = GREY + (np.eye(3) - GREY) * saturation
    if r.random() < 0.08:
        mixing = mixing[r.permutation(3)]
    return cv2.transform(cv2.LUT(rgb, table), mixing)


def restyle(rgb: np.ndarray, r: Generator) -> np.ndarray:
    """Other textures on the same shapes: what the renderer's surfaces look like must not tell depth.

    A random small convolution over space and colour, its mean and spread brought back to the picture's, mixed in
    part (Xu et al., Robust and Generalizable Visual Representation Learning via Random Convolutions, 2021).
    """
    n = (1, 3, 5)[int(r.integers(3))]
    x = rgb.astype(np.float32)
    mixed = x @ r.normal(0, 1, (3, 3)).astype(np.float32)
    if n > 1:
        kernel = r.normal(0, 1, (n, n)).astype(np.float32)
        kernel[n // 2, n // 2] += 0.5 * n
        mixed = cv2.filter2D(mixed, -1, kernel, borderType=cv2.BORDER_REFLECT)
    mean, spread = x.mean((0, 1)), x.std((0, 1))
    mixed = (mixed - mixed.mean((0, 1))) / (mixed.std((0, 1)) + 1e-3) * spread + mean
    part = np.float32(r.uniform(0.3, 1.0))
    return np.clip(x + (mixed - x) * part, 0, 255).astype(np.uint8)


def degrade(rgb: np.ndarray, r: Generator) -> np.ndarray:
    """What lenses, sensors and encoders do."""
    draw = r.random()
    if draw < 0.25:
        rgb = cv2.GaussianBlur(rgb, (0, 0), r.uniform(0.3, 1.6))
    elif draw < 0.32:  # motion
        n = int(r.integers(3, 10))
        kernel = np.zeros((n, n), np.float32)
        angle = r.uniform(0, math.pi)
        along = np.linspace(-0.5, 0.5, 3 * n) * (n - 1)
        kernel[np.round(along * math.sin(angle) + (n - 1) / 2).astype(int), np.round(along * math.cos(angle) + (n - 1) / 2).astype(int)] = 1
        rgb = cv2.filter2D(rgb, -1, kernel / kernel.sum())
    elif draw < 0.42:  # sharpened
        rgb = cv2.addWeighted(rgb, 1.8, cv2.GaussianBlur(rgb, (0, 0), r.uniform(0.6, 1.5)), -0.8, 0)
    elif draw < 0.50:  # small picture, enlarged
        scale = r.uniform(0.4, 0.8)
        h, w = rgb.shape[:2]
        small = cv2.resize(rgb, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
        rgb = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if r.random() < 0.35:
        start = int(r.integers(0, len(NOISE) - rgb.size))
        strength = r.uniform(0.05, 0.7)
        noise = NOISE[start : start + rgb.size].reshape(rgb.shape)
        rgb = cv2.add(rgb, (noise * np.float32(strength)).astype(np.int16), dtype=cv2.CV_8U)
    if r.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(r.integers(20, 90))]
        rgb = cv2.imdecode(cv2.imencode(".jpg", rgb, quality)[1], cv2.IMREAD_COLOR)
    return rgb


def bars(rgb: np.ndarray, inverse: np.ndarray, r: Generator) -> None:
    """Letterbox or pillar bars, or the border that a sensor's picture has once it is rectified, in place.

    Nothing is learnt of their depth.
    """
    letterbox = r.random() < 0.5
    level = int(r.integers(0, 20)) if letterbox or r.random() < 0.4 else int(r.integers(225, 256))
    shares = [r.uniform(0.04, 0.16)] * 2 if letterbox else r.uniform(0.0, 0.05, 4)
    axes = (int(r.random() < 0.3),) * 2 if letterbox else (0, 0, 1, 1)
    for i, (axis, share) in enumerate(zip(axes, shares)):
        n = int(rgb.shape[axis] * share)
        part = slice(0, n) if i % 2 == 0 else slice(rgb.shape[axis] - n, None)
        where = (part,) if axis == 0 else (slice(None), part)
        rgb[where] = level
        inverse[where] = IGNORE


def augment(
    sample: tuple[np.ndarray, np.ndarray],
    size: tuple[int, int],
    r: Generator,
    other: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """RGB u8 [h,w,3] and inverse depth f32 [h,w] of `size`; `other` may be pasted in front."""
    rgb, inverse = crop(*sample, size, r)
    if other is not None:
        rgb, inverse = paste(rgb, inverse, crop(*other, size, r), r)
    if r.random() < 0.5:
        rgb, inverse = rgb[:, ::-1], inverse[:, ::-1]
    rgb = np.ascontiguousarray(rgb)
    if r.random() < 0.2:
        rgb = restyle(rgb, r)
    rgb = degrade(colour(rgb, r), r)
    inverse = np.ascontiguousarray(inverse)
    if r.random() < 0.06:
        bars(rgb, inverse, r)
    return rgb, inverse
