use super::*;

/// A job alone.
#[derive(Clone, Copy)]
struct Vectorized<J>(J);

impl<J: Job> WithIsa for Vectorized<J> {
    type Output = J::Output;
    fn run<I: Isa>(self, isa: I) -> J::Output {
        isa.vectorize(self.0)
    }
}

fn vectorized_on_every_isa<J: Job + Copy>(job: J) -> Vec<(&'static str, J::Output)> {
    on_every_isa(Vectorized(job))
}

#[derive(Clone, Copy)]
struct Map<'a, F>(&'a [f32], F);

trait Lanewise: Copy {
    fn call<I: Isa>(self, isa: I, x: I::F32s) -> I::F32s;
}

impl<F: Lanewise> Job for Map<'_, F> {
    type Output = Vec<f32>;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Vec<f32> {
        let (chunks, rest) = self.0.as_chunks::<LANES>();
        assert!(rest.is_empty(), "test inputs come in whole vectors");
        chunks.iter().flat_map(|c| isa.to_array(self.1.call(isa, isa.load(c)))).collect()
    }
}

#[derive(Clone, Copy)]
struct Exp2;
impl Lanewise for Exp2 {
    #[inline(always)]
    fn call<I: Isa>(self, isa: I, x: I::F32s) -> I::F32s {
        exp2(isa, x).1
    }
}

#[derive(Clone, Copy)]
struct Log2;
impl Lanewise for Log2 {
    #[inline(always)]
    fn call<I: Isa>(self, isa: I, x: I::F32s) -> I::F32s {
        log2(isa, x)
    }
}

const STEPS: usize = if cfg!(miri) { 1 << 8 } else { 1 << 20 };

#[test]
fn exp2_is_within_2e_7_of_the_true_value() {
    let q: Vec<f32> = (0..STEPS).map(|i| -126.0 * i as f32 / STEPS as f32).collect();
    for (isa, powers) in vectorized_on_every_isa(Map(&q, Exp2)) {
        for (&q, power) in q.iter().zip(powers) {
            let exact = f64::from(q).exp2();
            let error = (f64::from(power) / exact - 1.0).abs();
            assert!(error < 2e-7, "{isa}: 2^{q} = {power:e}, off by {error:e}");
        }
    }
}

#[test]
fn exp2_of_what_is_no_ordinary_exponent() {
    let mut q = [0.0; LANES];
    q[1..6].copy_from_slice(&[f32::NEG_INFINITY, f32::NAN, -160.0, -1e30, -1e-30]);
    for (isa, powers) in vectorized_on_every_isa(Map(&q, Exp2)) {
        assert_eq!(powers[0], 1.0, "{isa}");
        assert_eq!(powers[1], 0.0, "{isa}: -inf is probability 0");
        assert!(powers[2].is_nan(), "{isa}: NaN must not vanish");
        assert_eq!(powers[3..5], [0.0; 2], "{isa}");
        assert!((powers[5] - 1.0).abs() < 2e-7, "{isa}");
    }
}

#[test]
fn log2_is_within_3e_7_of_the_true_value() {
    let x: Vec<f32> = (0..STEPS)
        .map(|i| f32::from_bits(0x0080_0000 + (i * ((0x4f00_0000 - 0x0080_0000) / STEPS)) as u32))
        .collect();
    for (isa, logs) in vectorized_on_every_isa(Map(&x, Log2)) {
        for (&x, log) in x.iter().zip(logs) {
            let exact = f64::from(x).log2();
            let error = (f64::from(log) - exact).abs();
            assert!(
                error < 3e-7 + 6e-8 * exact.abs(),
                "{isa}: log2 {x:e} = {log}, off by {error:e}"
            );
        }
    }
}

#[derive(Clone, Copy)]
struct Halves<'a>(&'a [f16; LANES], &'a [bf16; LANES]);
impl Job for Halves<'_> {
    type Output = ([f32; LANES], [f32; LANES]);
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        (isa.to_array(isa.load_f16(self.0)), isa.to_array(isa.load_bf16(self.1)))
    }
}

#[test]
fn every_half_precision_value_widens_exactly() {
    let step = if cfg!(miri) { 509 } else { 1 };
    for bits in (0..=u16::MAX).step_by(step) {
        let (h, b) = (f16::from_bits(bits), bf16::from_bits(bits));
        for (isa, (from_h, from_b)) in vectorized_on_every_isa(Halves(&[h; LANES], &[b; LANES])) {
            let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
            assert!(from_h.iter().all(|&x| same(x, h.to_f32())), "{isa}: f16 {bits:#06x}");
            assert!(from_b.iter().all(|&x| same(x, b.to_f32())), "{isa}: bf16 {bits:#06x}");
        }
    }
}

#[derive(Clone, Copy)]
struct Pair<'a>(&'a [bf16; 2 * LANES]);
impl Job for Pair<'_> {
    type Output = [[f32; LANES]; 2];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        isa.load_bf16_pair(self.0).map(|half| isa.to_array(half))
    }
}

#[test]
fn a_pair_holds_every_value_once() {
    let values = std::array::from_fn(|i| bf16::from_f32(i as f32 - 7.0));
    for (isa, pair) in vectorized_on_every_isa(Pair(&values)) {
        let mut pair = pair.concat();
        pair.sort_by(f32::total_cmp);
        assert_eq!(pair, values.map(bf16::to_f32), "{isa}");
    }
}

#[derive(Clone, Copy)]
struct Orders<'a>(&'a [f32; LANES], &'a [f32; LANES]);
impl Job for Orders<'_> {
    type Output = (u16, f32, f32, [f32; LANES]);
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let (a, b) = (isa.load(self.0), isa.load(self.1));
        (isa.ge(a, b), isa.sum(a), isa.largest(a), isa.to_array(isa.max(a, b)))
    }
}

#[test]
fn comparisons_and_folds() {
    let a: [f32; LANES] = std::array::from_fn(|i| i as f32 - 3.0);
    let mut b = [0.0; LANES];
    b[5] = f32::NAN;
    for (isa, (ge, sum, largest, max)) in vectorized_on_every_isa(Orders(&a, &b)) {
        assert_eq!(ge, 0b1111_1111_1101_1000, "{isa}");
        assert_eq!((sum, largest), (72.0, 12.0), "{isa}");
        assert_eq!((max[0], max[7]), (0.0, 4.0), "{isa}");
        assert!(max[5].is_nan(), "{isa}: a NaN that comes second stays");
    }
}

#[derive(Clone, Copy)]
struct Masked<'a>(u16, &'a [f32; LANES], &'a [f32; LANES]);
impl Job for Masked<'_> {
    type Output = ([f32; LANES], [f32; LANES], [u32; LANES]);
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let Self(mask, a, b) = self;
        let (a, b) = (isa.load(a), isa.load(b));
        let selected = isa.to_array(isa.select(mask, a, b));
        (selected, isa.compress(mask, a), isa.compress_places(mask, 1000))
    }
}

#[test]
fn masks_choose_lanes_in_order() {
    let a: [f32; LANES] = std::array::from_fn(|i| i as f32 - 3.0);
    let b: [f32; LANES] = std::array::from_fn(|i| 100.0 + i as f32);
    for mask in (0..=u16::MAX).step_by(if cfg!(miri) { 509 } else { 1 }) {
        let is_set = |&i: &usize| mask >> i & 1 != 0;
        let chosen: Vec<usize> = (0..LANES).filter(is_set).collect();
        let values: Vec<f32> = chosen.iter().map(|&i| a[i]).collect();
        let places: Vec<u32> = chosen.iter().map(|&i| 1000 + i as u32).collect();
        let select: [f32; LANES] = std::array::from_fn(|i| if is_set(&i) { a[i] } else { b[i] });
        for (isa, (selected, compressed, at)) in vectorized_on_every_isa(Masked(mask, &a, &b)) {
            assert_eq!(selected, select, "{isa}: {mask:#b}");
            assert_eq!(compressed[..values.len()], values, "{isa}: {mask:#b}");
            assert_eq!(at[..places.len()], places, "{isa}: {mask:#b}");
        }
    }
}

#[test]
fn places_may_be_as_large_as_they_get() {
    #[derive(Clone, Copy)]
    struct Last;
    impl Job for Last {
        type Output = [u32; LANES];
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Self::Output {
            isa.compress_places(u16::MAX, u32::MAX - 15)
        }
    }
    for (isa, places) in vectorized_on_every_isa(Last) {
        assert_eq!((places[0], places[15]), (u32::MAX - 15, u32::MAX), "{isa}");
    }
}

#[derive(Clone, Copy)]
struct AnyNan<'a>(&'a [f32; LANES], &'a [f32; LANES]);
impl Job for AnyNan<'_> {
    type Output = bool;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> bool {
        isa.any_nan(isa.load(self.0), isa.load(self.1))
    }
}

#[test]
fn a_nan_is_seen_in_any_lane() {
    let mut numbers: [f32; LANES] = std::array::from_fn(|i| i as f32);
    numbers[..3].copy_from_slice(&[f32::INFINITY, f32::NEG_INFINITY, -0.0]);
    assert!(vectorized_on_every_isa(AnyNan(&numbers, &numbers)).iter().all(|&(_, nan)| !nan));
    for lane in 0..LANES {
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001)] {
            let mut one = numbers;
            one[lane] = nan;
            for (isa, any) in vectorized_on_every_isa(AnyNan(&one, &numbers)) {
                assert!(any, "{isa}: lane {lane} of the first");
            }
            for (isa, any) in vectorized_on_every_isa(AnyNan(&numbers, &one)) {
                assert!(any, "{isa}: lane {lane} of the second");
            }
        }
    }
}
