import numpy as np
from depthnet.measured import compare, fit


def test_scale_and_shift_are_found_beside_outliers():
    r = np.random.default_rng(0)
    inverse = r.uniform(0.1, 1, 4000)
    predicted = (inverse - 0.05) / 2
    predicted[:400] = r.uniform(0, 1, 400)  # one in ten says nothing
    scale, shift = fit(predicted, inverse)
    assert abs(scale - 2) < 0.02 and abs(shift - 0.05) < 0.01


def test_a_perfect_answer_has_no_error_and_what_is_unknown_does_not_count():
    z = np.random.default_rng(0).uniform(0.5, 8, (60, 80))
    z[:10] = np.nan
    depth = np.nan_to_num(3 / z + 1)
    got, true = compare(depth, z)
    assert got.shape == true.shape == (50 * 80,)
    assert np.abs(got / true - 1).max() < 1e-3
