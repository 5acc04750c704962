//! What hidden states know, over depth.

use super::{
    super::{
        plot::{Lines, Look, REFERENCE, Series, Shape},
        sections::shown_states,
        table::name,
    },
    Plots, look,
};
use crate::{Predictors, Summary};

/// One for each run and contrast.
pub(super) fn depth(runs: &[Summary]) -> Plots {
    let states = look(0);
    let scalars = Look { shape: Shape::None, ..look(1) };
    let figures = runs.iter().enumerate().flat_map(|(i, run)| {
        shown_states(run).into_iter().map(move |(contrast, of, hidden)| {
            let all = hidden.blocks.of().max(1) as f64;
            let numbers = hidden.blocks.numbers().iter().map(|&number| number as f64 / all);
            let by_block = numbers.zip(&of.by_block).map(|(x, area)| (x, area.area.into()));
            let flat = |look, value: f64| Series {
                look,
                points: [0.0, 1.0].map(|x| (x, value.into())).into(),
            };
            let mut series = vec![flat(REFERENCE, 0.5)];
            let of_scalars = of.areas.get(&Predictors::Scalars);
            series.extend(of_scalars.map(|area| flat(scalars, area.area.value)));
            series.push(Series { look: states, points: by_block.collect() });
            let figure = Lines {
                title: format!("{}: {contrast}", name(i, run)),
                x_name: "depth, as a share of the blocks",
                y_name: "AUROC",
                x: (0.0, 1.05),
                top: 1.0,
                diagonal: false,
            };
            figure.draw(&series)
        })
    });
    let legend = [
        (states, "States after a block".to_owned()),
        (scalars, "Scalars of the first step".to_owned()),
        (REFERENCE, "Chance".to_owned()),
    ];
    Plots::new(legend, figures)
}
