//! Times on the device.
//!
//! A kernel of a few microseconds is over before the host has queued the next, so what two events
//! around such calls measure is the host. Therefore the device is first kept busy, the calls are
//! queued behind that, and what counts is a burst that the device had not begun when its last call
//! was queued: it then works through them without a pause.

use std::time::{Duration, Instant};

use super::case::{Gpu, Inputs, RIVALS, Rival};

/// Less than the launches that a device queues before the host has to wait, whatever the rival.
const MOST_CALLS: usize = 64;

/// How long a burst should take.
const BURST: f64 = 2e3;

/// How long the device is kept busy, in nanoseconds: at first, and at most.
const BUSY: u64 = 2_000_000;
const MOST_BUSY: u64 = 250_000_000;

/// When a rival has been measured enough, after the fewest bursts that make a median.
const MOST_BURSTS: usize = 15;
const FEWEST_BURSTS: usize = 3;
const TIME_PER_RIVAL: Duration = Duration::from_millis(500);

/// What was found of one rival at one point.
#[derive(Clone, Copy)]
pub struct Timed {
    pub rival: Rival,
    /// Microseconds a call, the median of the bursts; `None` on an emulated device.
    pub microseconds: Option<f64>,
    /// Whether the calls were queued before the device began with them. If not, the rival makes
    /// the host wait, and the time is that of host and device together.
    pub queued: bool,
    pub bursts: usize,
}

/// Measures all rivals, in turn, so that the machine's moods strike all of them alike.
pub fn measure(gpu: &Gpu, inputs: &Inputs, quick: bool) -> anyhow::Result<Vec<Timed>> {
    let emulated = gpu.kernels.is_emulated()?;
    let mut courses: Vec<Course> = RIVALS.into_iter().map(Course::new).collect();
    let most = if quick { 1 } else { MOST_BURSTS };
    for _ in 0..most {
        for course in &mut courses {
            if emulated {
                inputs.run(course.rival)?;
            } else if !course.is_enough() {
                course.burst(gpu, inputs)?;
            }
        }
    }
    gpu.kernels.wait()?;
    Ok(courses.into_iter().map(Course::end).collect())
}

/// The bursts of one rival.
struct Course {
    rival: Rival,
    calls: usize,
    busy: u64,
    queued: bool,
    spent: Duration,
    microseconds: Vec<f64>,
}

impl Course {
    fn new(rival: Rival) -> Self {
        // Nothing is queued where the host does the work.
        let queued = rival != Rival::Host;
        let (calls, busy, microseconds) = (0, BUSY, Vec::new());
        Self { rival, calls, busy, queued, spent: Duration::ZERO, microseconds }
    }

    fn is_enough(&self) -> bool {
        self.microseconds.len() >= FEWEST_BURSTS && self.spent > TIME_PER_RIVAL
    }

    fn burst(&mut self, gpu: &Gpu, inputs: &Inputs) -> anyhow::Result<()> {
        let start = Instant::now();
        if self.calls == 0 {
            // Warms everything up, and tells how many calls make a burst.
            self.time(gpu, inputs, 1)?;
            let once = self.time(gpu, inputs, 1)?;
            self.calls = ((BURST / once) as usize).clamp(1, MOST_CALLS);
        }
        let time = self.time(gpu, inputs, self.calls)?;
        self.microseconds.push(time);
        self.spent += start.elapsed();
        Ok(())
    }

    /// Microseconds a call.
    fn time(&mut self, gpu: &Gpu, inputs: &Inputs, calls: usize) -> anyhow::Result<f64> {
        gpu.kernels.wait()?;
        if self.rival == Rival::Host {
            let start = Instant::now();
            (0..calls).try_for_each(|_| inputs.run(self.rival))?;
            return Ok(start.elapsed().as_secs_f64() * 1e6 / calls as f64);
        }
        loop {
            if self.queued {
                gpu.kernels.be_busy(self.busy)?;
            }
            let start = gpu.kernels.mark()?;
            (0..calls).try_for_each(|_| inputs.run(self.rival))?;
            let in_time = !start.is_complete();
            let end = gpu.kernels.mark()?;
            let microseconds = f64::from(start.elapsed_ms(&end)?) * 1e3 / calls as f64;
            if in_time || !self.queued {
                return Ok(microseconds);
            }
            self.busy *= 2;
            self.queued = self.busy <= MOST_BUSY;
        }
    }

    fn end(mut self) -> Timed {
        self.microseconds.sort_by(f64::total_cmp);
        let bursts = self.microseconds.len();
        let microseconds = self.microseconds.get(bursts / 2).copied();
        Timed { rival: self.rival, microseconds, queued: self.queued, bursts }
    }
}
