//! The tables, in Markdown.

use candle_core::DType;

use super::line::Line;

/// Begins the table of a vocabulary and a dtype.
pub fn begin(vocab_size: usize, dtype: DType) {
    println!(
        "\n### V = {vocab_size}, {}\n\n\
         | row / map / mode | left | ours | floor | candle | torch \
         | ours ÷ floor | candle ÷ ours | torch ÷ ours |\n\
         | --- |{}",
        dtype.as_str(),
        " ---: |".repeat(8)
    );
}

impl Line {
    pub fn name(&self) -> String {
        format!("{}/{}", self.case.row_and_map(), self.mode.name())
    }

    pub fn per_floor(&self) -> Option<f64> {
        self.floor.map(|floor| self.ours / floor)
    }

    pub fn candle_per_ours(&self) -> Option<f64> {
        self.candle.map(|candle| candle / self.ours)
    }

    pub fn print(&self) {
        let torch_per_ours = self.torch.map(|torch| torch / self.ours);
        println!(
            "| {} | {} | {:.1} | {} | {} | {} | {} | {} | {} |",
            self.name(),
            self.left,
            self.ours,
            cell(self.floor, 1),
            cell(self.candle, 0),
            cell(self.torch, 0),
            cell(self.per_floor(), 2),
            cell(self.candle_per_ours(), 1),
            cell(torch_per_ours, 1),
        );
    }
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or(String::new(), |value| format!("{value:.digits$}"))
}
