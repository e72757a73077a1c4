import torch
from depthnet.losses import amounts, depth_loss, fit, guide_loss, mean, soften, standardise, steady_loss, window_loss


def ramp(b: int = 2, h: int = 56, w: int = 70) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.linspace(0.1, 1, h)[:, None].expand(b, h, w) + 0.05 * torch.rand(b, h, w)


def test_blind_to_scale_and_shift():
    target = ramp()
    _, parts = depth_loss(100 * target + 7, target)
    assert parts["shape"] < 2e-3 and parts["edges"] < 2e-3 and parts["order"] < 1e-2


def test_upside_down_is_worst():
    target = ramp()
    flat, _ = depth_loss(torch.full_like(target, 0.5), target)
    wrong, _ = depth_loss(-target, target)
    assert wrong > flat > depth_loss(target, target)[0]


def test_nothing_is_learnt_where_the_target_is_nan():
    target = ramp()
    target[:, :10] = torch.nan
    predicted = ramp().requires_grad_()
    loss, _ = depth_loss(predicted, target)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(predicted.grad).all()
    assert predicted.grad[:, :10].abs().max() == 0


def test_a_flat_prediction_has_finite_gradients():
    predicted = torch.full((2, 56, 70), 0.3, requires_grad=True)
    depth_loss(predicted, ramp())[0].backward()
    assert torch.isfinite(predicted.grad).all()


def test_soften_is_continuous_at_the_knee():
    x = torch.tensor([2.999, 3.001])
    assert (soften(x)[1] - soften(x)[0]).abs() < 3e-3


def test_standardise():
    x = standardise(ramp(), torch.ones(2, 56, 70, dtype=torch.bool))
    assert x.flatten(1).median(1)[0].abs().max() < 0.05 and (x.abs().mean() - 1).abs() < 0.05


def test_guide_is_compared_with_the_padded_target():
    target = ramp(2, 126, 154)  # padded to 128x160
    small = torch.nn.functional.pad(target[:, None], (0, 6, 0, 2), mode="replicate")
    small = torch.nn.functional.interpolate(small, size=(16, 20), mode="nearest-exact")[:, 0]
    assert guide_loss(2 * small + 1, target, 16) < 0.3


def test_steady_loss_is_the_change_against_the_spread():
    x, flicker = ramp(), 0.01 * torch.sign(torch.randn(2, 56, 70))
    one, hundred = steady_loss(x, x + flicker, x), steady_loss(100 * x, 100 * (x + flicker), x)
    assert steady_loss(x, x, x) == 0 and 0.03 < one < 0.06 and abs(one / hundred - 1) < 0.1
    target = x.clone()
    target[:, :10] = torch.nan
    assert steady_loss(x, torch.cat([x[:, :10] + 1, x[:, 10:]], 1), target) == 0


def everything(x: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(x, dtype=torch.bool)


def test_amounts_are_blind_to_scale_and_shift():
    target = ramp()
    assert amounts(100 * target + 7, target, everything(target)).abs().max() < 1e-3


def test_near_and_far_amounts_count_alike():
    """A fifth too far is as bad at one metre as at ten, unlike in inverse depth."""
    distance = torch.linspace(1, 10, 90)[None, :, None].repeat(1, 1, 60)
    target, off = 1 / distance, []
    for part in (slice(0, 9), slice(81, 90)):
        wrong = target.clone()
        wrong[:, part] /= 1.2
        off.append(amounts(wrong, target, everything(target))[:, part].abs().mean())
    assert 0.1 < off[0] < 0.2 and 0.8 < off[0] / off[1] < 1.6


def test_fitted_amounts_are_not_drawn_by_a_few():
    target = ramp()
    predicted = (target - 0.2) / 3
    few = torch.rand_like(target) < 0.1
    predicted[few] = predicted[few].flip(0)  # one in ten says nothing
    far = torch.full((2, 1, 1), 1e-3)
    scale, shift = fit(predicted, target, everything(target), far)
    assert (scale - 3).abs().max() < 0.1 and (shift - 0.2).abs().max() < 0.05


def test_amounts_have_finite_gradients_everywhere():
    target = ramp()
    target[:, :20] = 0  # the sky
    for predicted in (torch.full_like(target, 0.3), -target, 1000 * torch.randn_like(target)):
        predicted.requires_grad_()
        mean(soften(amounts(predicted, target, everything(target)), 1.0), everything(target)).backward()
        assert torch.isfinite(predicted.grad).all()


def test_a_window_is_judged_by_the_scale_of_the_whole_picture():
    target = ramp(2, 128, 160)
    guide = torch.nn.functional.interpolate(target[:, None], size=(16, 20), mode="nearest-exact")[:, 0] / 2 + 1
    window = target[:, 32:96, 48:128]
    right, _ = window_loss(window / 2 + 1, window, guide, target, 16)
    shifted, _ = window_loss(window / 2 + 1.1, window, guide, target, 16)  # a fit of its own would forgive that
    assert right < 0.05 and shifted > 0.2
