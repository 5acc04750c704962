//! The types of numbers in GGUF files: how a block of bytes becomes `f32`.
//!
//! A row is a sequence of blocks, each of them 32 or 256 numbers with what they are scaled by, as
//! llama.cpp defines them (`ggml-quants.c`). A number is computed in the order in which candle and
//! llama.cpp dequantise it, so that it is theirs to the last bit. The loops are of one step each, over
//! arrays, of which the compiler makes vectors: of all steps in one loop it does not, for all types.

use std::hint;

use candle_core::quantized::GgmlDType;

/// One type.
pub trait Format {
    /// Bytes in a block,
    const BYTES: usize;
    /// and numbers.
    const NUMBERS: usize;

    /// Turns a block into numbers; both have the lengths above.
    fn unpack(block: &[u8], numbers: &mut [f32]);
}

/// Turns blocks into numbers, of which there are as many.
#[inline(always)]
pub fn unpack<F: Format>(blocks: &[u8], numbers: &mut [f32]) {
    for (block, numbers) in blocks.chunks_exact(F::BYTES).zip(numbers.chunks_exact_mut(F::NUMBERS))
    {
        // Block by block: the compiler would take many at once, and gather single numbers from each,
        // at a tenth of the speed.
        F::unpack(hint::black_box(block), numbers);
    }
}

/// Evaluates an expression for the format of a `GgmlDType`, as an `Option`: none where it is not one
/// of these.
macro_rules! with_format {
    ($dtype:expr, $format:ident => $value:expr) => {
        with_format!(@ $dtype, $format => $value, F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2K Q3K Q4K Q5K Q6K)
    };
    (@ $dtype:expr, $format:ident => $value:expr, $($name:ident)*) => {
        match $dtype {
            $(candle_core::quantized::GgmlDType::$name => {
                type $format = $crate::decoder::formats::$name;
                Some($value)
            })*
            _ => None,
        }
    };
}
pub(super) use with_format;

/// The numbers in a block of the type, if there is a format for it.
pub fn block(dtype: GgmlDType) -> Option<usize> {
    with_format!(dtype, F => F::NUMBERS)
}

/// What is computed with; no type of GGUF files, as far as this goes.
pub struct F32;

impl Format for F32 {
    const BYTES: usize = 64;
    const NUMBERS: usize = 16;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        for (number, bytes) in numbers.iter_mut().zip(block.as_chunks::<4>().0) {
            *number = f32::from_ne_bytes(*bytes);
        }
    }
}

pub struct F16;

impl Format for F16 {
    const BYTES: usize = 64;
    const NUMBERS: usize = 32;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        for (number, bytes) in numbers.iter_mut().zip(block.chunks_exact(2)) {
            *number = half(bytes, 0);
        }
    }
}

pub struct BF16;

impl Format for BF16 {
    const BYTES: usize = 64;
    const NUMBERS: usize = 32;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        for (number, bytes) in numbers.iter_mut().zip(block.chunks_exact(2)) {
            *number = f32::from_bits(u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 24);
        }
    }
}

pub struct Q8_0;

impl Format for Q8_0 {
    const BYTES: usize = 34;
    const NUMBERS: usize = 32;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let scale = half(block, 0);
        let mut codes = [0; 32];
        for (code, &byte) in codes.iter_mut().zip(&block[2..34]) {
            *code = i32::from(byte as i8);
        }
        for (number, code) in numbers.iter_mut().zip(codes) {
            *number = code as f32 * scale;
        }
    }
}

pub struct Q4_0;

impl Format for Q4_0 {
    const BYTES: usize = 18;
    const NUMBERS: usize = 32;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let scale = half(block, 0);
        fours(&block[2..18], numbers, |q| (q - 8) as f32 * scale);
    }
}

pub struct Q4_1;

impl Format for Q4_1 {
    const BYTES: usize = 20;
    const NUMBERS: usize = 32;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let (scale, offset) = (half(block, 0), half(block, 2));
        fours(&block[4..20], numbers, |q| q as f32 * scale + offset);
    }
}

pub struct Q5_0;

impl Format for Q5_0 {
    const BYTES: usize = 22;
    const NUMBERS: usize = 32;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let scale = half(block, 0);
        fives(&block[6..22], word(block, 2), numbers, |q| (q - 16) as f32 * scale);
    }
}

pub struct Q5_1;

impl Format for Q5_1 {
    const BYTES: usize = 24;
    const NUMBERS: usize = 32;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let (scale, offset) = (half(block, 0), half(block, 2));
        fives(&block[8..24], word(block, 4), numbers, |q| q as f32 * scale + offset);
    }
}

/// 32 numbers: number i and number i + 16 are in byte i.
#[inline(always)]
fn fours(pairs: &[u8], numbers: &mut [f32], scaled: impl Fn(i32) -> f32) {
    let mut codes = [0; 32];
    let (first, second) = codes.split_at_mut(16);
    for (code, &pair) in first.iter_mut().zip(&pairs[..16]) {
        *code = i32::from(pair & 15);
    }
    for (code, &pair) in second.iter_mut().zip(&pairs[..16]) {
        *code = i32::from(pair >> 4);
    }
    for (number, code) in numbers.iter_mut().zip(codes) {
        *number = scaled(code);
    }
}

/// 32 numbers: four bits of number i and of number i + 16 are in byte i, the fifth in bit i of
/// `high`.
#[inline(always)]
fn fives(pairs: &[u8], high: u32, numbers: &mut [f32], scaled: impl Fn(i32) -> f32) {
    let (first, second) = numbers.split_at_mut(16);
    for (i, ((a, b), &pair)) in first.iter_mut().zip(second).zip(pairs).enumerate() {
        let fifth = |i: usize| (high >> i & 1) << 4;
        *a = scaled((u32::from(pair & 15) | fifth(i)) as i32);
        *b = scaled((u32::from(pair >> 4) | fifth(i + 16)) as i32);
    }
}

pub struct Q4K;

impl Format for Q4K {
    const BYTES: usize = 144;
    const NUMBERS: usize = 256;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        eighths(block, &[0; 32], &block[16..144], numbers);
    }
}

pub struct Q5K;

impl Format for Q5K {
    const BYTES: usize = 176;
    const NUMBERS: usize = 256;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        eighths(block, &block[16..48], &block[48..176], numbers);
    }
}

/// 256 numbers in eight parts, of which two are in 32 bytes of `pairs`: four bits of a number of
/// each. The fifth of number j of part i is bit i of `high[j]`. What the parts are scaled by is at
/// the beginning of the block.
#[inline(always)]
fn eighths(block: &[u8], high: &[u8], pairs: &[u8], numbers: &mut [f32]) {
    let (scale, least) = (half(block, 0), half(block, 2));
    let pairs = pairs.chunks_exact(32);
    for (i, (numbers, pairs)) in numbers.chunks_exact_mut(64).zip(pairs).enumerate() {
        let (first, second) = numbers.split_at_mut(32);
        let (a, b) = scales(&block[4..16], 2 * i);
        let (a, b) = (scale * a, least * b);
        let (c, d) = scales(&block[4..16], 2 * i + 1);
        let (c, d) = (scale * c, least * d);
        for (((x, y), &pair), &high) in first.iter_mut().zip(second).zip(pairs).zip(high) {
            let high = high >> (2 * i);
            *x = a * f32::from(pair & 15 | (high & 1) << 4) - b;
            *y = c * f32::from(pair >> 4 | (high & 2) << 3) - d;
        }
    }
}

/// The scale and the least number of part `i` of eight, of six bits each.
#[inline(always)]
fn scales(packed: &[u8], i: usize) -> (f32, f32) {
    let (scale, least) = if i < 4 {
        (packed[i] & 63, packed[i + 4] & 63)
    } else {
        let high = |byte: u8| byte >> 6 << 4;
        (packed[i + 4] & 15 | high(packed[i - 4]), packed[i + 4] >> 4 | high(packed[i]))
    };
    (f32::from(scale), f32::from(least))
}

pub struct Q6K;

impl Format for Q6K {
    const BYTES: usize = 210;
    const NUMBERS: usize = 256;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let scale = half(block, 208);
        let part = |i: usize| scale * f32::from(block[192 + i] as i8);
        for (half, numbers) in numbers.chunks_exact_mut(128).enumerate() {
            let low = &block[64 * half..][..64];
            let high = &block[128 + 32 * half..][..32];
            for (quarter, numbers) in numbers.chunks_exact_mut(32).enumerate() {
                let low = &low[quarter % 2 * 32..][..32];
                let (shift, first) = (quarter / 2 * 4, 8 * half + 2 * quarter);
                let (a, b) = (part(first), part(first + 1));
                for (i, (number, (&low, &high))) in
                    numbers.iter_mut().zip(low.iter().zip(high)).enumerate()
                {
                    let q = low >> shift & 15 | (high >> (2 * quarter) & 3) << 4;
                    *number = if i < 16 { a } else { b } * (i32::from(q) - 32) as f32;
                }
            }
        }
    }
}

pub struct Q2K;

impl Format for Q2K {
    const BYTES: usize = 84;
    const NUMBERS: usize = 256;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let (scale, least) = (half(block, 80), half(block, 82));
        for (i, numbers) in numbers.chunks_exact_mut(16).enumerate() {
            let (bytes, shift) = (&block[16 + i / 8 * 32 + i % 2 * 16..][..16], i % 8 / 2 * 2);
            let (a, b) = (scale * f32::from(block[i] & 15), least * f32::from(block[i] >> 4));
            let mut codes = [0; 16];
            for (code, &byte) in codes.iter_mut().zip(bytes) {
                *code = i32::from(byte) >> shift & 3;
            }
            for (number, code) in numbers.iter_mut().zip(codes) {
                *number = a * code as f32 - b;
            }
        }
    }
}

pub struct Q3K;

impl Format for Q3K {
    const BYTES: usize = 110;
    const NUMBERS: usize = 256;

    #[inline(always)]
    fn unpack(block: &[u8], numbers: &mut [f32]) {
        let scale = half(block, 108);
        let (thirds, packed) = (&block[..32], &block[96..108]);
        for (i, numbers) in numbers.chunks_exact_mut(16).enumerate() {
            let low = packed[i % 8] >> (i / 8 * 4) & 15;
            let part = low | (packed[8 + i % 4] >> (i / 4 * 2) & 3) << 4;
            let part = scale * (f32::from(part) - 32.0);
            let (bytes, shift) = (&block[32 + i / 8 * 32 + i % 2 * 16..][..16], i % 8 / 2 * 2);
            let thirds = &thirds[i % 2 * 16..][..16];
            let mut codes = [0; 16];
            for (code, &byte) in codes.iter_mut().zip(bytes) {
                *code = i32::from(byte) >> shift & 3;
            }
            for (code, &third) in codes.iter_mut().zip(thirds) {
                *code += 4 * (i32::from(third) >> (i / 2) & 1) - 4;
            }
            for (number, code) in numbers.iter_mut().zip(codes) {
                *number = part * code as f32;
            }
        }
    }
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The `f16` at `at`, as `f32`: the crate `half` would call a function for each, or branch.
///
/// Exponent and fraction move to their places, which makes a number that is 2^112 times too small,
/// and a product that is exact also for subnormal ones.
#[inline(always)]
fn half(bytes: &[u8], at: usize) -> f32 {
    let bits = u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let (sign, rest) = (bits & 0x8000, bits & 0x7FFF);
    // Infinite, or not a number: what remains is so as well.
    let special = if rest >= 0x7C00 { 0x7F80_0000 } else { 0 };
    let magnitude = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | special | sign << 16)
}

/// All types that there is a format for.
#[cfg(test)]
pub const TYPES: [GgmlDType; 12] = [
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q2K,
    GgmlDType::Q3K,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use candle_core::{
        Device,
        quantized::{QStorage, QTensor},
    };
    use half::f16;

    use super::*;

    /// Bytes of every kind, in which scales are finite.
    fn bytes(dtype: GgmlDType, blocks: usize) -> Vec<u8> {
        let size = dtype.type_size();
        let mut state = 1u32;
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(size * blocks)
        .collect();
        // The high bytes of what may be a scale: exponents below the largest.
        bytes.chunks_mut(2).for_each(|pair| pair[pair.len() - 1] &= 0xBF);
        bytes
    }

    #[test]
    fn numbers_are_candles_to_the_last_bit() {
        for dtype in TYPES {
            let blocks = 64 * 256 / dtype.block_size();
            let bytes = bytes(dtype, blocks);
            let storage = QStorage::from_data(Cow::Borrowed(&bytes), &Device::Cpu, dtype).unwrap();
            let theirs = QTensor::new(storage, (64, 256)).unwrap().dequantize(&Device::Cpu);
            let theirs = theirs.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let ours = with_format!(dtype, F => {
                assert_eq!(F::BYTES / F::NUMBERS, dtype.type_size() / dtype.block_size());
                let mut ours = vec![0.0; 64 * 256];
                for (block, numbers) in bytes.chunks(F::BYTES).zip(ours.chunks_mut(F::NUMBERS)) {
                    F::unpack(block, numbers);
                }
                ours
            });
            let same = |(a, b): (f32, f32)| a.to_bits() == b.to_bits();
            assert!(ours.unwrap().into_iter().zip(theirs).all(same), "{dtype:?}");
        }
        assert_eq!([GgmlDType::F32, GgmlDType::Q8_1, GgmlDType::Q8K].map(block), [None; 3]);
    }

    #[test]
    fn every_half_is_itself() {
        for bits in 0..=u16::MAX {
            let (expected, got) = (f16::from_bits(bits).to_f32(), half(&bits.to_le_bytes(), 0));
            let same = expected.to_bits() == got.to_bits();
            assert!(same || expected.is_nan() && got.is_nan(), "{bits:#06x}: {got}");
        }
    }
}
