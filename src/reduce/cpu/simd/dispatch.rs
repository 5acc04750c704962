//! The choice of an instruction set.

use std::io::Write;
use std::sync::OnceLock;

#[cfg(all(target_arch = "aarch64", not(miri)))]
use super::neon::Neon;
use super::{WithIsa, plain::Plain};
#[cfg(all(target_arch = "x86_64", not(miri)))]
use super::{avx2::Avx2, avx512::Avx512};

/// Runs `work` with the best instruction set that this processor has and [`VARIABLE`] allows.
pub(crate) fn with_best_isa<W: WithIsa>(work: W) -> W::Output {
    let limit = Limit::of_the_process();
    if limit == Limit::Plain {
        return work.run(Plain);
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        if limit != Limit::Avx2
            && let Some(isa) = Avx512::detect()
        {
            return work.run(isa);
        }
        if let Some(isa) = Avx2::detect() {
            return work.run(isa);
        }
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    if let Some(isa) = Neon::detect() {
        return work.run(isa);
    }
    work.run(Plain)
}

/// Runs `work` with every instruction set that this processor has, for tests.
#[cfg(test)]
pub(crate) fn on_every_isa<W: WithIsa + Copy>(work: W) -> Vec<(&'static str, W::Output)> {
    let mut outputs = vec![("plain", work.run(Plain))];
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        outputs.extend(Avx2::detect().map(|isa| ("avx2", work.run(isa))));
        outputs.extend(Avx512::detect().map(|isa| ("avx512", work.run(isa))));
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    outputs.extend(Neon::detect().map(|isa| ("neon", work.run(isa))));
    outputs
}

/// The environment variable that keeps a process from the better instruction sets of its
/// processor, for measurements.
const VARIABLE: &str = "CONCEPT_MASS_ISA";

/// The instruction sets that may be used.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// All of them. AVX-512 and NEON are the best of their processors, so that to be limited to
    /// either is no limit, and where it is missing there is nothing else to do.
    None,
    Avx2,
    Plain,
}

impl Limit {
    /// What the environment says, read at the first call; later ones cost an atomic load.
    fn of_the_process() -> Self {
        static LIMIT: OnceLock<Limit> = OnceLock::new();
        *LIMIT.get_or_init(|| {
            let Some(value) = std::env::var_os(VARIABLE) else {
                return Limit::None;
            };
            Limit::of(&value.to_string_lossy()).unwrap_or_else(|| {
                // Unlike `eprintln!`, this does not panic where there is no standard error.
                let _ = writeln!(
                    std::io::stderr(),
                    "concept-mass: {VARIABLE}={value:?} is ignored; \
                     it may be avx512, avx2, neon or plain"
                );
                Limit::None
            })
        })
    }

    fn of(value: &str) -> Option<Self> {
        match value {
            "" | "avx512" | "neon" => Some(Self::None),
            "avx2" => Some(Self::Avx2),
            "plain" => Some(Self::Plain),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_the_names_of_instruction_sets() {
        let limits = ["", "avx512", "avx2", "neon", "plain"].map(|name| Limit::of(name).unwrap());
        let none = Limit::None;
        assert_eq!(limits, [none, none, Limit::Avx2, none, Limit::Plain]);
        for unknown in ["AVX2", "avx", "sse2", " plain"] {
            assert_eq!(Limit::of(unknown), None, "{unknown}");
        }
    }
}
