//! The results, as tables for readers and as JSON for programs.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::case::Case;
use super::inputs::Gpu;
use super::rival::Rival;
use super::timer::Timed;

/// One point, measured.
struct Line {
    case: Case,
    timed: Vec<Timed>,
    /// Why nothing was measured.
    wrong: Option<String>,
}

impl Line {
    fn timed(&self, rival: Rival) -> Option<&Timed> {
        self.timed.iter().find(|timed| timed.rival == rival)
    }

    fn microseconds(&self, rival: Rival) -> Option<f64> {
        self.timed(rival)?.microseconds
    }

    /// Bytes of logits a nanosecond, which is GB/s.
    fn bandwidth(&self, rival: Rival) -> Option<f64> {
        Some(self.case.bytes() as f64 / self.microseconds(rival)? / 1e3)
    }

    fn print(&self) {
        print!("| {} |", self.case.name());
        for rival in Rival::ALL {
            let star = if self.timed(rival).is_some_and(made_the_host_wait) { "*" } else { "" };
            print!(" {}{star} |", cell(self.microseconds(rival), 1));
        }
        let [argmax, floor, chain] = [
            self.ratio(Rival::Decide, Rival::Argmax),
            self.ratio(Rival::Decide, Rival::Floor),
            self.ratio(Rival::CandleChain, Rival::Decide),
        ];
        println!(" {} | {} | {} |", cell(argmax, 2), cell(floor, 2), cell(chain, 1));
    }

    /// `over`'s time in units of `under`'s.
    fn ratio(&self, over: Rival, under: Rival) -> Option<f64> {
        Some(self.microseconds(over)? / self.microseconds(under)?)
    }
}

/// All that has been measured.
pub struct Report {
    device: String,
    emulated: bool,
    l2_bytes: usize,
    json: Option<PathBuf>,
    lines: Vec<Line>,
}

impl Report {
    pub fn begin(gpu: &Gpu, json: Option<PathBuf>) -> anyhow::Result<Self> {
        let report = Self {
            device: gpu.kernels.device_name()?,
            emulated: gpu.kernels.is_emulated()?,
            l2_bytes: gpu.kernels.l2_bytes()?,
            json,
            lines: Vec::new(),
        };
        let emulated = if report.emulated { "; emulated: no times" } else { "" };
        let threads = rayon::current_num_threads();
        println!(
            "{}{emulated}; {threads} threads on the host; medians of microseconds a call\n",
            report.device
        );
        print_head(&Rival::ALL, " decide ÷ argmax | decide ÷ floor | chain ÷ decide |");
        Ok(report)
    }

    /// Prints a line, or what is wrong with an answer, and writes the JSON anew: a run that is cut
    /// short leaves what it has.
    pub fn add(&mut self, case: Case, timed: anyhow::Result<Vec<Timed>>) -> anyhow::Result<()> {
        let line = match timed {
            Ok(timed) => Line { case, timed, wrong: None },
            Err(wrong) => Line { case, timed: Vec::new(), wrong: Some(format!("{wrong:#}")) },
        };
        match &line.wrong {
            Some(wrong) => println!("| {} | not measured: {wrong} |", line.case.name()),
            None => line.print(),
        }
        self.lines.push(line);
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_string_pretty(&self.json())?)?;
        }
        Ok(())
    }

    /// The other tables, if there are times. Fails if an answer was wrong.
    pub fn end(&self) -> anyhow::Result<()> {
        if !self.emulated {
            self.print_more();
        }
        let wrong = self.lines.iter().filter(|line| line.wrong.is_some()).count();
        anyhow::ensure!(wrong == 0, "wrong answers at {wrong} points, which were not measured");
        println!("\nall answers right");
        Ok(())
    }

    fn print_more(&self) {
        if self.lines.iter().any(|line| line.timed.iter().any(made_the_host_wait)) {
            println!("\n\\* makes the host wait: the time is that of host and device together");
        }
        self.print_samplers();
        self.print_host_times();
        self.print_bandwidths();
    }

    fn print_samplers(&self) {
        let has_some = |line: &&Line| line.timed.iter().any(|timed| is_a_sampler(timed.rival));
        let lines: Vec<&Line> = self.lines.iter().filter(has_some).collect();
        if lines.is_empty() {
            return;
        }
        println!("\nMicroseconds a call of what samples plain tokens, without a map\n");
        print_head(&Rival::SAMPLERS, "");
        for line in lines {
            print!("| {} |", line.case.name());
            for rival in Rival::SAMPLERS {
                let star = if line.timed(rival).is_some_and(made_the_host_wait) { "*" } else { "" };
                print!(" {}{star} |", cell(line.microseconds(rival), 1));
            }
            println!();
        }
    }

    fn print_host_times(&self) {
        println!("\nMicroseconds until a call returns, its work being queued\n");
        print_head(&Rival::ALL, "");
        for line in &self.lines {
            print!("| {} |", line.case.name());
            for rival in Rival::ALL {
                let host = line.timed(rival).and_then(|timed| timed.host_microseconds);
                print!(" {} |", cell(host, 1));
            }
            println!();
        }
    }

    fn print_bandwidths(&self) {
        println!("\nGB/s of logits read once, and the share of the floor's\n");
        let on_device: Vec<Rival> =
            Rival::ALL.into_iter().filter(|&rival| rival != Rival::Host).collect();
        print_head(&on_device, "");
        for line in &self.lines {
            print!("| {} |", line.case.name());
            for &rival in &on_device {
                match line.bandwidth(rival).zip(line.ratio(Rival::Floor, rival)) {
                    Some((speed, share)) => print!(" {speed:.0} ({:.0} %) |", 100.0 * share),
                    None => print!(" – |"),
                }
            }
            println!();
        }
    }

    fn json(&self) -> Value {
        let Self { device, emulated, l2_bytes, .. } = self;
        let points: Vec<Value> = self.lines.iter().map(point).collect();
        json!({
            "device": device,
            "emulated": emulated,
            "l2_bytes": l2_bytes,
            "host_threads": rayon::current_num_threads(),
            "points": points,
        })
    }
}

fn print_head(rivals: &[Rival], more: &str) {
    print!("| V/batch/dtype/map |");
    rivals.iter().for_each(|rival| print!(" {} |", rival.name()));
    println!("{more}");
    println!("| --- |{}", " ---: |".repeat(rivals.len() + more.matches('|').count()));
}

fn is_a_sampler(rival: Rival) -> bool {
    Rival::SAMPLERS.contains(&rival)
}

/// Where nobody expects it; see [`Timed::queued`].
fn made_the_host_wait(timed: &Timed) -> bool {
    timed.microseconds.is_some() && !timed.queued && !timed.rival.is_of_the_host()
}

fn point(line: &Line) -> Value {
    let Case { vocab_size, batch, dtype, p_max, hot, .. } = line.case;
    let rival = |timed: &Timed| {
        let measured = json!({
            "microseconds": timed.microseconds,
            "host_microseconds": timed.host_microseconds,
            "gigabytes_per_second": line.bandwidth(timed.rival),
            "share_of_floor": line.ratio(Rival::Floor, timed.rival),
            "queued": timed.queued,
            "bursts": timed.bursts,
        });
        (timed.rival.name(), measured)
    };
    json!({
        "point": line.case.name(),
        "vocab_size": vocab_size,
        "batch": batch,
        "dtype": dtype.as_str(),
        "map": line.case.map.name(),
        "p_max": p_max,
        "hot": hot,
        "bytes": line.case.bytes(),
        "answers": line.wrong.as_deref().unwrap_or("right"),
        "rivals": line.timed.iter().map(rival).collect::<serde_json::Map<_, _>>(),
    })
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}
