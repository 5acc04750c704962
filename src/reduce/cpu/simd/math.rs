//! Powers and logarithms of sixteen lanes.

use super::Isa;

/// Below this power of two a probability is 0: `2^-160` vanishes in `f32` on every processor,
/// and `-160 · 0` is a number where `-∞ · 0` would be NaN.
const LOWEST_EXPONENT: f32 = -160.0;

/// `(q, 2^q)` for `q` ≤ 0, with `q` raised to [`LOWEST_EXPONENT`] where it is lower (`-∞`
/// included). NaN stays NaN. The relative error of `2^q` is below 2e-7.
///
/// `2^q = 2^⌊q⌋ · 2^f` with `f` in `[0, 1]`, where `2^f = 1 + f · P(f)` and `P` is the minimax
/// polynomial of degree 4 for the relative error.
#[inline(always)]
pub(crate) fn exp2<I: Isa>(isa: I, q: I::F32s) -> (I::F32s, I::F32s) {
    const P: [f32; 6] = [1.0, 0.6931513, 0.24016444, 0.055799913, 0.009017031, 0.00186713];
    let q = isa.max(isa.splat(LOWEST_EXPONENT), q);
    let power = isa.scale_exp2(degree_5(isa, &P, isa.fraction(q)), q);
    (q, power)
}

/// `log2(x)` for normal positive `x`, within 3e-7 absolute plus the rounding of the result.
///
/// `log2 x = e + log2(1 + f)` with `1 + f` in `[√½, √2)`, where `log2(1 + f) = f · P(f)` and `P`
/// is the polynomial of degree 7 with the least absolute error of `f · P(f)`, 5e-8: the rest is
/// rounding, and in proportion to `f`, so that logarithms near 0 are as good as their size allows.
#[inline(always)]
pub(crate) fn log2<I: Isa>(isa: I, x: I::F32s) -> I::F32s {
    const P: [f32; 8] = [
        1.4426948,
        -0.7213571,
        0.48093888,
        -0.36008826,
        0.28671694,
        -0.25006685,
        0.23683782,
        -0.14569582,
    ];
    let (f, exponent) = isa.split_log2(x);
    isa.mul_add(f, degree_7(isa, &P, f), exponent)
}

// Polynomials `Σ c[i] · xⁱ` by Estrin's rule: three operations depend on each other where Horner's
// rule has one for each coefficient.

#[inline(always)]
fn degree_5<I: Isa>(isa: I, c: &[f32; 6], x: I::F32s) -> I::F32s {
    let x2 = isa.mul(x, x);
    let upper = isa.mul_add(linear(isa, [c[4], c[5]], x), x2, linear(isa, [c[2], c[3]], x));
    isa.mul_add(upper, x2, linear(isa, [c[0], c[1]], x))
}

#[inline(always)]
fn degree_7<I: Isa>(isa: I, c: &[f32; 8], x: I::F32s) -> I::F32s {
    let x2 = isa.mul(x, x);
    let lower = isa.mul_add(linear(isa, [c[2], c[3]], x), x2, linear(isa, [c[0], c[1]], x));
    let upper = isa.mul_add(linear(isa, [c[6], c[7]], x), x2, linear(isa, [c[4], c[5]], x));
    isa.mul_add(upper, isa.mul(x2, x2), lower)
}

#[inline(always)]
fn linear<I: Isa>(isa: I, c: [f32; 2], x: I::F32s) -> I::F32s {
    isa.mul_add(isa.splat(c[1]), x, isa.splat(c[0]))
}
