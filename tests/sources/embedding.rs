//! Embeddings of every layout and dtype, and the ends of the scale of cosines.

use candle_core::{DType, Device, Result, Tensor};
use concept_mass::map::{MAX_VOCAB_SIZE, MapError};
use concept_mass::source::{Embedding, SourceError};
use proptest::prelude::*;
use rand::{Rng, seq::SliceRandom};

use crate::common::{device, rng};

const FLOATS: [DType; 4] = [DType::F32, DType::F16, DType::BF16, DType::F64];

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Contiguous,
    Transposed,
    /// Some columns of a wider matrix.
    Columns,
    /// Some rows of a taller one.
    Rows,
    /// Some rows and columns of a transposed one.
    TransposedPart,
    /// A slice of a tensor of three dimensions, every other row of it.
    Strided,
}

const LAYOUTS: [Layout; 6] = [
    Layout::Contiguous,
    Layout::Transposed,
    Layout::Columns,
    Layout::Rows,
    Layout::TransposedPart,
    Layout::Strided,
];

impl Layout {
    fn of(self, matrix: &Tensor) -> Result<Tensor> {
        let (rows, columns) = matrix.dims2()?;
        let padded = || matrix.pad_with_same(0, 2, 3)?.pad_with_same(1, 1, 4);
        match self {
            Self::Contiguous => Ok(matrix.clone()),
            Self::Transposed => matrix.t()?.contiguous()?.t(),
            Self::Columns => padded()?.narrow(0, 2, rows)?.contiguous()?.narrow(1, 1, columns),
            Self::Rows => matrix.pad_with_same(0, 2, 3)?.narrow(0, 2, rows),
            Self::TransposedPart => {
                padded()?.t()?.contiguous()?.t()?.narrow(0, 2, rows)?.narrow(1, 1, columns)
            }
            Self::Strided => {
                Tensor::stack(&[matrix, &matrix.ones_like()?], 1)?.narrow(1, 0, 1)?.squeeze(1)
            }
        }
    }
}

/// Rows of a few directions, so that there are groups.
fn matrix(rows: usize, columns: usize, dtype: DType, seed: u64) -> Tensor {
    let mut rng = rng(seed);
    let mut numbers = |n: usize| (0..n).map(|_| rng.random_range(-1f32..1.0)).collect::<Vec<_>>();
    let directions: Vec<Vec<f32>> = (0..3).map(|_| numbers(columns)).collect();
    let noise = numbers(rows * columns);
    let rows: Vec<Vec<f32>> = (0..rows)
        .map(|i| {
            (0..columns).map(|j| directions[i % 3][j] + 0.2 * noise[i * columns + j]).collect()
        })
        .collect();
    Tensor::new(rows, &device()).unwrap().to_dtype(dtype).unwrap()
}

#[test]
fn a_transposed_embedding_is_grouped() {
    let matrix = Tensor::new(&[[1f32, 0.9, -1.], [0., 0.1, 0.]], &device()).unwrap();
    let embedding = Embedding::new(&matrix.t().unwrap()).unwrap();
    assert_eq!(embedding.groups(&[0, 1, 2], 0.9).unwrap(), [[0, 1]]);
    assert_eq!(embedding.map(&[0, 1, 2], 0.9).unwrap().tokens(0), Some(&[0, 1][..]));
}

#[test]
fn every_layout_of_every_dtype_gives_the_groups_of_the_contiguous_one() {
    for dtype in FLOATS {
        for (rows, columns) in [(1, 1), (1, 5), (7, 1), (40, 16), (33, 17)] {
            let matrix = matrix(rows, columns, dtype, 5);
            let tokens: Vec<u32> = (0..rows as u32).rev().collect();
            let groups =
                |matrix: &Tensor| Embedding::new(matrix).unwrap().groups(&tokens, 0.8).unwrap();
            let expected = groups(&matrix);
            assert!(rows < 2 || !expected.is_empty(), "{dtype:?} {rows} {columns}");
            for layout in LAYOUTS {
                let view = layout.of(&matrix).unwrap();
                assert_eq!(view.dims(), matrix.dims());
                assert_eq!(groups(&view), expected, "{layout:?} {dtype:?} {rows} {columns}");
            }
        }
    }
}

#[test]
fn a_broadcast_embedding_is_grouped_whatever_its_size() {
    for dtype in FLOATS {
        let one = Tensor::new(&[[1f32, 2., 3.]], &device()).unwrap().to_dtype(dtype).unwrap();
        let rows = Embedding::new(&one.broadcast_as((MAX_VOCAB_SIZE, 3)).unwrap()).unwrap();
        assert_eq!(rows.groups(&[7, 4_000_000], 1.0).unwrap(), [[0, 1]]);
        let columns = Tensor::new(&[[1f32], [-1.], [2.]], &device()).unwrap();
        let columns = columns.to_dtype(dtype).unwrap().broadcast_as((3, 9)).unwrap();
        assert_eq!(Embedding::new(&columns).unwrap().groups(&[0, 1, 2], 0.5).unwrap(), [[0, 2]]);
    }
}

#[test]
fn a_matrix_that_would_take_terabytes_is_refused() {
    let one = Tensor::ones((1, 1), DType::F32, &Device::Cpu).unwrap();
    for shape in [(MAX_VOCAB_SIZE + 1, 4), (1 << 40, 4), (4, 1 << 40), (1 << 30, 1 << 30)] {
        let error = Embedding::new(&one.broadcast_as(shape).unwrap()).unwrap_err();
        assert!(matches!(error, SourceError::EmbeddingShape { .. }), "{error}");
    }
}

/// A matrix that is a broadcast view may be of any size; its rows, gathered, may not.
#[test]
fn rows_that_would_take_terabytes_are_refused() {
    let (rows, columns) = (1 << 20, 1 << 20);
    for dtype in [DType::F32, DType::BF16, DType::F64] {
        let one = Tensor::ones((1, 1), dtype, &device()).unwrap();
        let embedding = Embedding::new(&one.broadcast_as((rows, columns)).unwrap()).unwrap();
        let all: Vec<u32> = (0..rows as u32).collect();
        // From one row more than may be gathered on.
        for tokens in [&all[..], &all[..(1 << 13) + 1]] {
            let error = embedding.groups(tokens, 0.5).unwrap_err();
            let is_it = matches!(error, SourceError::EmbeddingMemory { tokens: t, columns: c }
                if (t, c) == (tokens.len(), columns));
            assert!(is_it, "{error}");
        }
        assert_eq!(embedding.groups(&[0, 3], 0.5).unwrap(), [[0, 1]]);
    }
}

#[test]
fn only_floats_that_can_be_multiplied_are_taken() {
    for dtype in [DType::U8, DType::U32, DType::I64, DType::F8E4M3] {
        let matrix = Tensor::zeros((2, 2), dtype, &Device::Cpu).unwrap();
        let error = Embedding::new(&matrix).unwrap_err();
        assert!(matches!(error, SourceError::EmbeddingDType { got } if got == dtype), "{error}");
    }
}

#[test]
fn equal_rows_are_one_concept_at_threshold_one() {
    for dtype in FLOATS {
        for columns in [1, 3, 64, 768, 4096, 16_384] {
            for sign in [0.0, -0.5] {
                let mut rng = rng(columns as u64);
                let row: Vec<f32> = (0..columns).map(|_| rng.random::<f32>() + sign).collect();
                let row = Tensor::new(vec![row], &device()).unwrap();
                let opposite = row.neg().unwrap();
                // Twice the row has its direction.
                let rows = [&row, &opposite, &row, &(&row * 2.0).unwrap(), &row];
                let rows = Tensor::cat(&rows, 0).unwrap().to_dtype(dtype).unwrap();
                let embedding = Embedding::new(&rows).unwrap();
                let groups = embedding.groups(&[0, 1, 2, 3, 4], 1.0).unwrap();
                assert_eq!(groups, [[0, 2, 3, 4]], "{dtype:?} {columns}");
                // And at the other end, opposite rows are near enough.
                let groups = embedding.groups(&[0, 1, 2], -1.0).unwrap();
                assert_eq!(groups, [[0, 1, 2]], "{dtype:?} {columns}");
            }
        }
    }
}

#[test]
fn near_rows_are_not_equal_rows() {
    let rows = [[1f32, 0.], [1., 0.005], [1., 0.1]];
    let embedding = Embedding::new(&Tensor::new(&rows, &device()).unwrap()).unwrap();
    assert_eq!(embedding.groups(&[0, 1, 2], 1.0).unwrap(), [[0; 0]; 0]);
    assert_eq!(embedding.groups(&[0, 1, 2], 0.9999).unwrap(), [[0, 1]]);
}

#[test]
fn rows_without_a_direction_stand_alone_at_every_threshold() {
    let rows = [
        [1., 1.],
        [0., 0.],
        [f64::NAN, 1.],
        [1., f64::NAN],
        [f64::INFINITY, 1.],
        [f64::NEG_INFINITY, 0.],
        [-0., 0.],
        [2., 2.],
    ];
    for dtype in FLOATS {
        let matrix = Tensor::new(&rows, &device()).unwrap().to_dtype(dtype).unwrap();
        let embedding = Embedding::new(&matrix).unwrap();
        for threshold in [-1.0, -0.5, 0.0, 0.5, 1.0] {
            let groups = embedding.groups(&[0, 1, 2, 3, 4, 5, 6, 7], threshold).unwrap();
            assert_eq!(groups, [[0, 7]], "{dtype:?} {threshold}");
        }
    }
}

#[test]
fn rows_of_any_length_have_a_direction() {
    for (dtype, lengths) in [
        (DType::F64, &[1e-300, 1e-50, 1., 1e50, 1e300][..]),
        (DType::F32, &[1e-37, 1e-20, 1., 1e20, 1e38]),
        (DType::BF16, &[1e-37, 1e-20, 1., 1e20, 1e38]),
        (DType::F16, &[1e-4, 1., 6e4]),
    ] {
        let rows: Vec<Vec<f64>> = lengths.iter().map(|length| vec![*length, -length]).collect();
        let matrix = Tensor::new(rows, &device()).unwrap().to_dtype(dtype).unwrap();
        let tokens: Vec<u32> = (0..lengths.len() as u32).collect();
        let groups = Embedding::new(&matrix).unwrap().groups(&tokens, 0.999).unwrap();
        assert_eq!(groups, [(0..lengths.len()).collect::<Vec<_>>()], "{dtype:?}");
    }
}

#[test]
fn a_threshold_that_is_no_cosine_is_refused_whatever_the_tokens() {
    let embedding = Embedding::new(&matrix(4, 3, DType::F32, 1)).unwrap();
    for threshold in [1.0001, -1.0001, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        for tokens in [&[][..], &[0], &[0, 1, 2]] {
            let error = embedding.groups(tokens, threshold).unwrap_err();
            assert!(matches!(error, SourceError::Threshold { .. }), "{error}");
        }
    }
}

#[test]
fn tokens_beyond_the_rows_are_refused_however_many_they_are() {
    let embedding = Embedding::new(&matrix(4, 3, DType::F32, 1)).unwrap();
    for tokens in [&[4][..], &[0, 1, 4], &[u32::MAX, 0]] {
        let error = embedding.map(tokens, 0.5).unwrap_err();
        assert!(
            matches!(error, SourceError::Map(MapError::TokenOutOfRange { vocab_size: 4, .. })),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Ties included, of which a matrix of whole numbers has many.
    #[test]
    fn groups_do_not_depend_on_the_order_or_repetition_of_the_tokens(
        seed: u64,
        numbers in proptest::collection::vec(-1i8..2, 60),
        threshold in -0.5f32..=1.0,
    ) {
        let numbers = numbers.iter().map(|&n| f32::from(n)).collect();
        let matrix = Tensor::from_vec(numbers, (20, 3), &device()).unwrap();
        let embedding = Embedding::new(&matrix).unwrap();
        let ordered: Vec<u32> = (0..20).collect();
        let mut shuffled: Vec<u32> = (0..20).chain(0..7).collect();
        shuffled.shuffle(&mut rng(seed));
        let as_tokens = |tokens: &[u32]| {
            let groups = embedding.groups(tokens, threshold).unwrap();
            assert!(groups.is_sorted() && groups.iter().all(|group| group.is_sorted()));
            let tokens = |group: &Vec<usize>| {
                let mut tokens: Vec<u32> = group.iter().map(|&place| tokens[place]).collect();
                tokens.sort();
                tokens
            };
            let mut groups: Vec<Vec<u32>> = groups.iter().map(tokens).collect();
            groups.sort();
            groups
        };
        prop_assert_eq!(as_tokens(&shuffled), as_tokens(&ordered));
        // What is listed twice is in the map once.
        let maps = [&ordered, &shuffled].map(|tokens| embedding.map(tokens, threshold).unwrap());
        prop_assert_eq!(maps[0].stats(), maps[1].stats());
    }
}
