//! Same inputs, same bits.

use super::*;

/// Every operation's result as bits.
fn all_bits(map: &DeviceMap, sets: &TokenSets, logits: &Tensor) -> Vec<u32> {
    let rows = map.reduce(logits).unwrap().rows().unwrap();
    let measured = sets.to_device(&device()).unwrap().measure(logits).unwrap();
    let tensors = [
        map.masses(logits).unwrap(),
        map.pool(logits).unwrap(),
        measured.masses,
        measured.concentrations,
    ];
    let floats = tensors.iter().flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    all_bits_of(&rows).into_iter().chain(floats.map(f32::to_bits)).collect()
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    if device().is_cuda() {
        return; // whose threads are others, see tests/cuda.rs
    }
    for partition in PARTITIONS {
        // A long row that threads share, a batch that they share, and what is worth no thread.
        for (batch, vocab_size) in [(1, 600_001), (7, 80_001), (7, 500)] {
            let mut rng = rng(batch);
            let map = on_device(&partition.map(vocab_size, &mut rng));
            let sets = TokenSets::builder(vocab_size).set("p", 0..99).unwrap().build().unwrap();
            let rows: Vec<_> =
                (0..batch).map(|_| Profile::Peaked.row(vocab_size, &mut rng)).collect();
            let logits = Layout::Contiguous.tensor(&rows, vocab_size, DType::F32).unwrap();
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| all_bits(&map, &sets, &logits))
            };
            let one = on(1);
            for threads in [1, 2, 3, 8] {
                assert!(on(threads) == one, "{partition:?}, {batch} rows, {threads} threads");
            }
        }
    }
}

#[test]
fn the_same_bits_alone_and_anywhere_in_a_batch_in_any_layout() {
    let vocab_size = 3001;
    for dtype in DTYPES {
        let mut rng = rng(3);
        let map = on_device(&Partition::Dense.map(vocab_size, &mut rng));
        let sets = TokenSets::builder(vocab_size).set("p", 5..60).unwrap().build().unwrap();
        let rows: Vec<_> = PROFILES.iter().map(|p| p.row(vocab_size, &mut rng)).collect();
        for layout in LAYOUTS {
            let logits = layout.tensor(&rows, vocab_size, dtype).unwrap();
            let batch = map.reduce(&logits).unwrap().rows().unwrap();
            let masses = map.masses(&logits).unwrap();
            for (i, row) in rows.iter().enumerate() {
                let alone =
                    Tensor::new(row.as_slice(), &device()).unwrap().to_dtype(dtype).unwrap();
                let in_batch = logits.i(i).unwrap();
                let bits = all_bits(&map, &sets, &alone);
                assert!(bits == all_bits(&map, &sets, &in_batch), "{dtype:?} {layout:?} {i}");
                let of_row = crate::common::bits(&batch[i]);
                assert_eq!(bits[..of_row.len()], of_row);
                let masses = masses.i(i).unwrap().to_vec1::<f32>().unwrap();
                let alone = map.masses(&alone).unwrap().to_vec1::<f32>().unwrap();
                assert!(masses == alone, "{dtype:?} {layout:?} {i}: masses");
            }
        }
    }
}

#[test]
fn masses_add_up_to_one() {
    let mut rng = rng(4);
    for partition in PARTITIONS {
        let map = on_device(&partition.map(30_000, &mut rng));
        let logits =
            Tensor::new(Profile::NoiseWithinATenth.row(30_000, &mut rng), &device()).unwrap();
        let masses = map.masses(&logits).unwrap().to_vec1::<f32>().unwrap();
        let sum: f64 = masses.into_iter().map(f64::from).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{partition:?}: {sum}");
    }
}
