//! How byte-level BPEs cut text before they merge: the names that llama.cpp gives to the ways.
//!
//! The names and the rules are those of llama.cpp (`src/llama-vocab.cpp`, in the version that the
//! wheel `xllamacpp` 2026.10.11549 is built of), which took them from the models' `tokenizer.json`.
//! Where the two are known to differ, the `tokenizer.json` is followed, because the model was
//! trained with that:
//!
//! - llama.cpp normalises no text; `nfc` says whose tokenizer is known to compose characters first;
//! - `(?i:'s)` also takes the long s (`'ſ`), where llama.cpp has `'[sS]`;
//! - in tekken's and GPT-4o's rules a word holds the marks upon its letters and may be of any
//!   script; llama.cpp tells only `a-z` from `A-Z`, and cuts words of Hindi, Thai and Arabic at
//!   every mark.
//!
//! `models/tests/tokenizers/cuts.json` has how llama.cpp and `tokenizer.json` cut hard texts.

use anyhow::{Result, bail};
use tokenizers::{
    PreTokenizerWrapper, SplitDelimiterBehavior,
    pre_tokenizers::{
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use super::vocabulary::PRE;

/// A way to cut text.
pub struct Pre {
    names: &'static [&'static str],
    /// Regular expressions, each of which cuts what those before have left whole: matches and what
    /// is between them become pieces of their own.
    cuts: &'static [&'static str],
    /// Text is brought into Unicode's form C first.
    pub nfc: bool,
    /// A piece that is a token is that token, whatever the merges would make of it.
    pub whole_words: bool,
    /// A sequence begins with a token of its own, unless the file says otherwise.
    pub bos: bool,
}

impl Pre {
    /// The way with that name.
    pub fn named(name: &str) -> Result<&'static Self> {
        if let Some(pre) = TABLE.iter().find(|pre| pre.names.contains(&name)) {
            return Ok(pre);
        }
        match UNFIT.iter().find(|(names, _)| names.contains(&name)) {
            Some((_, why)) => {
                bail!("its tokenizer cuts text ({PRE}) as {name:?}, {why}")
            }
            None => bail!("its tokenizer cuts text ({PRE}) as {name:?}, which is not known here"),
        }
    }

    /// Cuts text and spells the pieces in the byte-level alphabet.
    pub fn pre_tokenizer(&self) -> Result<PreTokenizerWrapper> {
        let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
        for &cut in self.cuts {
            let pattern = SplitPattern::Regex(cut.to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
            steps.push(split.map_err(anyhow::Error::from_boxed)?.into());
        }
        steps.push(ByteLevel::new(false, true, false).into());
        Ok(Sequence::new(steps).into())
    }
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const DIGIT: &str = r"\p{N}";
const DIGITS: &str = r"\p{N}+";
const UP_TO_THREE_DIGITS: &str = r"\p{N}{1,3}";
const THREES_FROM_THE_RIGHT: &str = r"\d{1,3}(?=(?:\d{3})*\b)";
const NUMBER_IN_THREES: &str = r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))";
const THREE_DIGITS: &str = r"[0-9][0-9][0-9]";
const BREAK: &str = r"[\r\n]";
const LINES: &str = r"[^\n]+|[\n]+";
const CJK: &str = r"[一-龥぀-ゟ゠-ヿ]+";
const DEEPSEEK_LETTERS: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const DEEPSEEK_PUNCTUATION: &str = r"\s?[!-/:-~！-／：-～‘-‟　-。]+";
const TRAILING_SPACE: &str = r"\s+$";
const DEEPSEEK_CJK: &str = r"[一-龥ࠀ-一가-퟿]+";
const SPACED_LETTERS: &str = r"\s?\p{L}+";
const SPACED_PUNCTUATION: &str = r"\s?\p{P}+";
const PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const FALCON_PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|`]+";
const BEFORE_THREES: &str = r"(?=(\d{3})+(?!\d))";
const SEED_CODER: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
const MINICPM5: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const BAILING: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";
const EXAONE_MOE: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+";
const UFAKZEKA: &str =
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const JAIS2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}";
const K2_HORIZON: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}|\p{M}|\u{200C}|\u{200D})+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const ASIAN: &str = r"[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+";
const SPARK: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"##;
const EAST_ASIAN: &str = r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+";
const YOUTU: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const SENTINEL: &str = r"<sentinel:[0-9]+>";
const IMAGE: &str = r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z";
const TABS_AND_SPACES: &str = r"([\t\n]|    |  )";
const ONE_PUNCTUATION: &str = r"[\p{P}!-/:-@\[-`{-~]";

const PLAIN: Pre = Pre { names: &[], cuts: &[], nfc: false, whole_words: false, bos: false };

/// The ways, those of the architectures that this crate runs first.
const TABLE: &[Pre] = &[
    Pre {
        names: &[
            "gpt-2",
            "gpt2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "exaone4",
            "jais",
            "trillion",
            "granite-docling",
        ],
        cuts: &[GPT2],
        ..PLAIN
    },
    Pre { names: &["olmo", "mpt"], cuts: &[GPT2], nfc: true, ..PLAIN },
    Pre {
        names: &["smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"],
        cuts: &[DIGIT, GPT2],
        ..PLAIN
    },
    Pre { names: &["command-r"], cuts: &[DIGIT, GPT2], nfc: true, ..PLAIN },
    Pre {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        cuts: &[LLAMA3],
        whole_words: true,
        bos: true,
        ..PLAIN
    },
    Pre { names: &["smaug-bpe", "dbrx", "chatglm-bpe"], cuts: &[LLAMA3], ..PLAIN },
    Pre { names: &["glm4", "glm5"], cuts: &[LLAMA3], whole_words: true, ..PLAIN },
    Pre { names: &["qwen2", "deepseek-r1-qwen", "f2llmv2"], cuts: &[QWEN2], nfc: true, ..PLAIN },
    Pre {
        names: &["stablelm2", "hunyuan", "solar-open", "grok-2", "megrez", "kormo"],
        cuts: &[QWEN2],
        ..PLAIN
    },
    Pre { names: &["qwen35"], cuts: &[QWEN35], ..PLAIN },
    Pre { names: &["tekken"], cuts: &[TEKKEN], whole_words: true, bos: true, ..PLAIN },
    Pre {
        names: &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
        cuts: &[GPT4O],
        ..PLAIN
    },
    Pre {
        names: &["deepseek-llm"],
        cuts: &[
            BREAK,
            DEEPSEEK_LETTERS,
            DEEPSEEK_PUNCTUATION,
            TRAILING_SPACE,
            DEEPSEEK_CJK,
            DIGITS,
        ],
        ..PLAIN
    },
    Pre {
        names: &["deepseek-coder"],
        cuts: &[BREAK, SPACED_LETTERS, SPACED_PUNCTUATION, DEEPSEEK_CJK, DIGIT],
        ..PLAIN
    },
    Pre {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        cuts: &[UP_TO_THREE_DIGITS, CJK, DEEPSEEK3],
        ..PLAIN
    },
    Pre { names: &["default"], cuts: &[PUNCTUATION, GPT2, DIGITS, THREE_DIGITS], ..PLAIN },
    Pre { names: &["falcon"], cuts: &[FALCON_PUNCTUATION, GPT2, THREE_DIGITS], ..PLAIN },
    Pre { names: &["poro-chat", "bloom", "gpt3-finnish"], cuts: &[BLOOM], ..PLAIN },
    Pre { names: &["viking"], cuts: &[BLOOM, DIGIT], ..PLAIN },
    Pre { names: &["superbpe"], cuts: &[DIGITS, BEFORE_THREES], ..PLAIN },
    Pre { names: &["seed-coder"], cuts: &[SEED_CODER], ..PLAIN },
    Pre { names: &["minicpm5"], cuts: &[UP_TO_THREE_DIGITS, MINICPM5], whole_words: true, ..PLAIN },
    Pre { names: &["bailingmoe", "bailingmoe2", "llada-moe"], cuts: &[BAILING], ..PLAIN },
    Pre { names: &["exaone-moe"], cuts: &[EXAONE_MOE], ..PLAIN },
    Pre { names: &["ufakzeka"], cuts: &[UFAKZEKA], ..PLAIN },
    Pre { names: &["laguna"], cuts: &[LINES, QWEN2], ..PLAIN },
    Pre { names: &["jais-2"], cuts: &[JAIS2], ..PLAIN },
    Pre { names: &["k2-horizon"], cuts: &[K2_HORIZON], ..PLAIN },
    Pre { names: &["tiny_aya", "cohere2moe"], cuts: &[THREES_FROM_THE_RIGHT, GPT4O], ..PLAIN },
    Pre { names: &["afmoe"], cuts: &[NUMBER_IN_THREES, ASIAN, DEEPSEEK3], ..PLAIN },
    Pre { names: &["spark2_5"], cuts: &[UP_TO_THREE_DIGITS, CJK, SPARK, DIGIT], ..PLAIN },
    Pre { names: &["youtu"], cuts: &[EAST_ASIAN, YOUTU], whole_words: true, ..PLAIN },
    Pre {
        names: &["chameleon"],
        cuts: &[SENTINEL, IMAGE, TABS_AND_SPACES, DIGIT, ONE_PUNCTUATION, GPT2],
        bos: true,
        ..PLAIN
    },
];

/// Names of llama.cpp's that more than cuts belong to, each with what.
const UNFIT: &[(&[&str], &str)] = &[
    (
        &["gemma4", "granite-embed-multi-311m", "sarvam-moe", "mmbert", "whitespace"],
        "whose tokens are not spelled in bytes, which metadata of the model \"gpt2\" are here",
    ),
    (&["kimi-k2"], "whose file has no merges"),
    (
        &["granite-embed-multi-97m", "jina-v1-en", "jina-v2-code", "roberta-bpe"],
        "which belongs to encoders, not to language models",
    ),
];
