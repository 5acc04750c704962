//! A vocabulary as large as those of real models, whose spellings are known.

use std::{collections::BTreeSet, sync::OnceLock};

use concept_mass::source::{
    Vocabulary,
    tokenizers::{
        Tokenizer,
        models::unigram::Unigram,
        pre_tokenizers::metaspace::{Metaspace, PrependScheme},
    },
};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};

/// The width of the logits, with as many ids without a token at its end.
pub const WIDTH: usize = 131_072;
const PADDING: usize = 72;

pub struct Made {
    pub vocabulary: Vocabulary,
    /// Every word, and the tokens that are it, ascending.
    pub stems: Vec<(String, Vec<u32>)>,
}

/// Some 40,000 words in up to eight spellings, anywhere; and bytes, and padding, in the way of
/// SentencePiece.
pub fn large() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut rng = StdRng::seed_from_u64(3);
        // Each token, and the number of its word.
        let mut tokens = vec![("<unk>".to_owned(), None)];
        tokens.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), None)));
        let words_begin = tokens.len();
        let mut taken = BTreeSet::new();
        let mut stems = Vec::<(String, Vec<u32>)>::new();
        while tokens.len() < WIDTH - PADDING {
            let stem = stem(&mut rng);
            if taken.insert(stem.clone()) {
                let known = spellings(&stem).into_iter().filter(|_| rng.random_bool(0.4));
                tokens.extend(known.map(|token| (token, Some(stems.len()))));
                stems.push((stem, Vec::new()));
            }
        }
        tokens.truncate(WIDTH - PADDING);
        tokens[words_begin..].shuffle(&mut rng);
        for (id, (_, stem)) in (0..).zip(&tokens) {
            stem.iter().for_each(|&stem| stems[stem].1.push(id));
        }
        stems.retain(|(_, tokens)| !tokens.is_empty());
        // Equal scores: the fewest tokens win.
        let scored = tokens.into_iter().map(|(token, _)| (token, -1.0)).collect();
        let mut tokenizer = Tokenizer::new(Unigram::from(scored, Some(0), true).unwrap());
        let metaspace = Metaspace::new('▁', PrependScheme::Always, true);
        tokenizer.with_pre_tokenizer(Some(metaspace.clone()));
        tokenizer.with_decoder(Some(metaspace));
        Made { vocabulary: Vocabulary::new(tokenizer, WIDTH).unwrap(), stems }
    })
}

/// Two to five syllables, the first of which can take an accent.
fn stem(rng: &mut StdRng) -> String {
    let syllable = |rng: &mut StdRng| {
        let consonant = ["b", "d", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"];
        let vowel = ["a", "e", "i", "o", "u"];
        [*consonant.choose(rng).unwrap(), *vowel.choose(rng).unwrap()].concat()
    };
    (0..rng.random_range(2..=5)).map(|_| syllable(rng)).collect()
}

/// The same word in every way in which spellings may differ.
fn spellings(stem: &str) -> [String; 8] {
    let capital = stem[..1].to_uppercase() + &stem[1..];
    let accent = format!("{}\u{301}{}", &stem[..2], &stem[2..]);
    let wide = stem.chars().map(|c| char::from_u32(c as u32 - 0x61 + 0xFF41).unwrap()).collect();
    [
        format!("▁{stem}"),
        stem.to_owned(),
        format!("▁{capital}"),
        capital.clone(),
        stem.to_uppercase(),
        accent,
        wide,
        format!("▁({capital}"),
    ]
}
