//! The one random number of a draw.

use std::collections::BTreeMap;

use concept_mass::ConceptMap;

use super::sample_one;
use crate::common::chain::Request;
use crate::common::device;
use crate::common::philox::{philox_4x32_10, uniform};

/// The known answers that come with the paper's own library, Random123.
#[test]
fn the_witness_gives_the_known_answers() {
    let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    for (counter, key, want) in [
        ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
        ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
        (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
    ] {
        assert_eq!(philox_4x32_10(counter, key), want);
    }
}

/// Of a million equal tokens, the token that is drawn says 20 bits of the number.
#[test]
fn a_row_draws_by_the_number_of_its_seed_and_its_step() {
    let vocab_size = 1 << 20;
    let map = ConceptMap::singletons(vocab_size).unwrap().to_device(&device()).unwrap();
    let logits = vec![0f32; vocab_size];
    let mut beside = 0;
    let seeds = [0, 1, 7, 1 << 32, 0x0123_4567_89ab_cdef, u64::MAX];
    let steps = [0, 1, 2, 1000, (1 << 32) - 1, 1 << 32, 1 << 53, u64::MAX - 1];
    for seed in seeds {
        for step in steps {
            let request = Request { seed, ..Request::at(1.0) };
            let mut row = request.row(&map, step);
            let token = sample_one(&logits, &mut row).unwrap().token;
            assert_eq!(row.state().step(), step + 1);
            let want = uniform(seed, step) * vocab_size as f64;
            let from = want - f64::from(token);
            // Within a millionth of all.
            assert!((-1.0..=2.0).contains(&from), "{seed} {step}: {token}, not {want}");
            beside += usize::from(!(0.0..1.0).contains(&from));
        }
    }
    assert!(beside <= 2, "{beside} beside by rounding");
}

#[test]
fn a_greedy_row_counts_its_steps_as_well() {
    let map = ConceptMap::singletons(3).unwrap().to_device(&device()).unwrap();
    let mut row = Request::at(0.0).row(&map, 5);
    assert_eq!(sample_one(&[0.0, 2.0, 1.0], &mut row).unwrap().token, 1);
    assert_eq!((row.state().step(), row.state().seen()), (6, &[(1, 1)][..]));
    let seen: BTreeMap<u32, u32> = row.state().seen().iter().copied().collect();
    assert_eq!(*row.state(), crate::common::chain::state(6, &seen));
}
