//! How far a transfer is: a bar, or where nobody watches a line at times.

use std::time::{Duration, Instant};

use concept_mass_models::hub::Progress;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// The transfers of the files of one repository.
pub struct Transfer {
    name: String,
    file: String,
    bar: ProgressBar,
    said: Instant,
}

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(10);

impl Transfer {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            file: String::new(),
            bar: ProgressBar::hidden(),
            said: Instant::now(),
        }
    }

    fn say(&mut self, how_far: &str) {
        if self.bar.is_hidden() {
            eprintln!("fetching {} of {}: {how_far}", self.file, self.name);
        }
        self.said = Instant::now();
    }
}

impl Progress for Transfer {
    fn start(&mut self, file: &str, bytes: u64) {
        let is_new = self.file != file;
        file.clone_into(&mut self.file);
        // It hides itself if standard error is not a terminal.
        self.bar = ProgressBar::new(bytes);
        let template = "{prefix} {wide_bar} {bytes}/{total_bytes}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(file.to_owned());
        if is_new {
            self.say(&HumanBytes(bytes).to_string());
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
        if self.said.elapsed() >= PAUSE {
            let [done, all] = [self.bar.position(), self.bar.length().unwrap_or(0)].map(HumanBytes);
            self.say(&format!("{done} of {all}"));
        }
    }

    fn finish(&mut self) {
        self.bar.finish();
    }
}
