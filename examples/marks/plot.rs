//! Curves over the frames of a film, as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// One curve.
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) values: &'a [f64],
}

/// Draws the curves, from frame 0 on.
pub(crate) fn draw(
    path: &Path,
    title: &str,
    axis: &str,
    curves: &[Curve<'_>],
) -> Result<(), Box<dyn Error>> {
    const COLOURS: [RGBColor; 4] = [
        RGBColor(196, 78, 82),
        RGBColor(221, 160, 52),
        RGBColor(90, 160, 220),
        RGBColor(30, 60, 130),
    ];
    let all = || curves.iter().flat_map(|curve| curve.values.iter().copied());
    let (low, high) = (
        all().fold(f64::INFINITY, f64::min),
        all().fold(f64::NEG_INFINITY, f64::max),
    );
    let room = 0.1 * (high - low).max(1e-3);
    let frames = curves
        .iter()
        .map(|curve| curve.values.len())
        .max()
        .unwrap_or(0);
    let canvas = SVGBackend::new(path, (900, 360)).into_drawing_area();
    canvas.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&canvas)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0..frames, low - room..high + room)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.08))
        .x_desc("frame")
        .y_desc(axis)
        .label_style(("sans-serif", 13))
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points = curve.values.iter().copied().enumerate();
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(curve.name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 13))
        .position(SeriesLabelPosition::UpperRight)
        .draw()?;
    canvas.present()?;
    Ok(())
}
