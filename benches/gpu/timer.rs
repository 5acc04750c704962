//! Times on the device.
//!
//! A kernel of a few microseconds is over before the host has queued the next, so what two events
//! around such calls measure is the host. Therefore the device is first kept busy, the calls are
//! queued behind that, and what counts is a burst that the device had not begun when its last call
//! was queued: it then works through them without a pause.

use std::time::{Duration, Instant};

use super::inputs::{Gpu, Inputs};
use super::rival::Rival;

/// Less than the launches that a device queues before the host has to wait, whatever the rival.
const MAX_CALLS: usize = 64;

/// How long a burst should take.
const BURST: f64 = 2e3;

/// How long the device is kept busy, in nanoseconds: at first, and at most.
const BUSY: u64 = 2_000_000;
const MAX_BUSY: u64 = 250_000_000;

/// When a rival has been measured enough, after the fewest bursts that make a median.
const MAX_BURSTS: usize = 15;
const MIN_BURSTS: usize = 3;
const TIME_PER_RIVAL: Duration = Duration::from_millis(100);

/// What was found of one rival at one point.
#[derive(Clone, Copy)]
pub struct Timed {
    pub rival: Rival,
    /// Microseconds a call, the median of the bursts; `None` on an emulated device.
    pub microseconds: Option<f64>,
    /// Microseconds until a call returns, its work being queued; likewise.
    pub host_microseconds: Option<f64>,
    /// Whether the calls were queued before the device began with them. If not, the rival makes
    /// the host wait, and the time is that of host and device together.
    pub queued: bool,
    pub bursts: usize,
}

/// Measures all rivals, in turn, so that the machine's moods strike all of them alike.
pub fn measure(gpu: &Gpu, inputs: &Inputs, quick: bool) -> anyhow::Result<Vec<Timed>> {
    let mut courses: Vec<Course> = inputs.rivals().map(Course::new).collect();
    if gpu.kernels.is_emulated()? {
        return Ok(courses.into_iter().map(Course::end).collect());
    }
    let max = if quick { 1 } else { MAX_BURSTS };
    for _ in 0..max {
        for course in &mut courses {
            if !course.is_enough() {
                course.burst(gpu, inputs)?;
            }
        }
    }
    Ok(courses.into_iter().map(Course::end).collect())
}

/// The bursts of one rival.
struct Course {
    rival: Rival,
    calls: usize,
    busy: u64,
    queued: bool,
    spent: Duration,
    /// On the device and on the host, of each burst.
    times: Vec<Times>,
}

/// Microseconds a call.
#[derive(Clone, Copy)]
struct Times {
    device: f64,
    host: f64,
}

impl Course {
    fn new(rival: Rival) -> Self {
        // Nothing is queued where the host does the work.
        let queued = !rival.is_of_the_host();
        let (calls, busy, times) = (0, BUSY, Vec::new());
        Self { rival, calls, busy, queued, spent: Duration::ZERO, times }
    }

    fn is_enough(&self) -> bool {
        self.times.len() >= MIN_BURSTS && self.spent > TIME_PER_RIVAL
    }

    fn burst(&mut self, gpu: &Gpu, inputs: &Inputs) -> anyhow::Result<()> {
        let start = Instant::now();
        if self.calls == 0 {
            // Warms everything up, and tells how many calls make a burst.
            self.time(gpu, inputs, 1)?;
            let once = self.time(gpu, inputs, 1)?.device;
            self.calls = ((BURST / once) as usize).clamp(1, MAX_CALLS);
        }
        let times = self.time(gpu, inputs, self.calls)?;
        self.times.push(times);
        self.spent += start.elapsed();
        Ok(())
    }

    fn time(&mut self, gpu: &Gpu, inputs: &Inputs, calls: usize) -> anyhow::Result<Times> {
        gpu.kernels.wait()?;
        loop {
            if self.queued {
                gpu.kernels.be_busy(self.busy)?;
            }
            let start = gpu.kernels.mark()?;
            let host = Instant::now();
            (0..calls).try_for_each(|_| inputs.run(self.rival))?;
            let host = host.elapsed().as_secs_f64() * 1e6 / calls as f64;
            let in_time = !start.is_complete();
            let end = gpu.kernels.mark()?;
            let device = f64::from(start.elapsed_ms(&end)?) * 1e3 / calls as f64;
            if self.rival.is_of_the_host() {
                return Ok(Times { device: host, host });
            }
            if in_time || !self.queued {
                return Ok(Times { device, host });
            }
            self.busy *= 2;
            self.queued = self.busy <= MAX_BUSY;
        }
    }

    fn end(self) -> Timed {
        Timed {
            rival: self.rival,
            microseconds: median(self.times.iter().map(|times| times.device)),
            host_microseconds: median(self.times.iter().map(|times| times.host)),
            queued: self.queued,
            bursts: self.times.len(),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
