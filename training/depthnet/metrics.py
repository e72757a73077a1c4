"""What the tables are made of. Predictions and targets are inverse depth [h,w]; 0 is the sky."""

import cv2
import numpy as np
from numpy.random import Generator

FAR = 1 / 80  # errors in metres are taken on what is nearer than 80 m


def align(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares scale and shift of the prediction onto the target."""
    a = np.stack([predicted.ravel(), np.ones(predicted.size)], 1)
    scale, shift = np.linalg.lstsq(a, target.ravel(), rcond=None)[0]
    return scale * predicted + shift


def errors(predicted: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """AbsRel and delta1 after alignment, on what is near enough to have a distance."""
    near = target > FAR
    if near.sum() < 100:
        return np.nan, np.nan
    depth = 1 / np.maximum(align(predicted[near], target[near]), 1 / 200)
    true = 1 / target[near]
    return float(np.mean(np.abs(depth - true) / true)), float(np.mean(np.maximum(depth / true, true / depth) < 1.25))


def ordinal(predicted: np.ndarray, target: np.ndarray, r: Generator, pairs: int = 4000) -> tuple[float, float]:
    """Share of random pairs (5 % apart or more) in the right order, and of "the lower is the nearer"."""
    i, j = r.integers(0, target.size, pairs), r.integers(0, target.size, pairs)
    t, p = target.ravel(), predicted.ravel()
    sure = np.maximum(t[i], t[j]) > 1.05 * np.minimum(t[i], t[j]) + 1e-5
    if not sure.any():
        return np.nan, np.nan
    true = np.sign(t[i] - t[j])[sure]
    row = np.sign(i // target.shape[1] - j // target.shape[1])[sure]
    return float(np.mean(np.sign(p[i] - p[j])[sure] == true)), float(np.mean(np.where(row == 0, 0.5, row == true)))


def steps(inverse: np.ndarray, least: float) -> np.ndarray:
    """Pixels that differ by more than `least` from the one below or to the right."""
    out = np.zeros(inverse.shape, bool)
    out[:-1] = np.abs(np.diff(inverse, axis=0)) > least
    out[:, :-1] |= np.abs(np.diff(inverse, axis=1)) > least
    return out


def edge_f1(predicted: np.ndarray, target: np.ndarray, share: float = 0.04, reach: int = 1) -> float:
    """F1 of depth edges on the target's grid: steps of `share` of its range, `reach` pixels off allowed.

    A perfect answer scores 1; one that is blurred or enlarged loses the small steps and the precision.
    """
    least = share * float(np.ptp(np.quantile(target, [0.02, 0.98])))
    true = steps(target, least)
    if least <= 0 or true.sum() < 20:
        return np.nan
    found = steps(align(predicted, target), least)
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    near_true = cv2.dilate(true.astype(np.uint8), kernel) > 0
    near_found = cv2.dilate(found.astype(np.uint8), kernel) > 0
    precision = (found & near_true).sum() / max(found.sum(), 1)
    recall = (true & near_found).sum() / true.sum()
    return float(2 * precision * recall / max(precision + recall, 1e-9))
