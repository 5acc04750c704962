//! What is set in a world: how questions depend on each other, and what a model does with them.

/// The entropies of steps 2 and 3 are spread evenly over these.
pub const RIGHT_LATER: [[f64; 2]; 2] = [[0.02, 0.3], [0.1, 0.5]];
pub const WRONG_LATER: [[f64; 2]; 2] = [[0.4, 2.0], [0.2, 1.8]];

/// And so are phrase masses: of right answers, of failures and of other wrong answers.
pub const PHRASE: [[f64; 2]; 3] = [[0.3, 0.9], [0.05, 0.2], [0.0, 0.04]];

pub const CONDITIONAL: [f64; 2] = [0.0, 0.4];

/// The share of wrong answers that another scorer accepts.
pub const CONTAINS: f64 = 0.1;

/// How often another decoder is right, where the greedy answer is right and where it is wrong.
pub const DECODER_RIGHT: [f64; 2] = [0.93, 0.15];

/// The least P-mass of a commitment failure.
pub const TAU: f64 = 0.2;

/// The masses of failures are spread evenly from τ to here; those of other answers lie below τ.
pub const MOST: f64 = 0.6;

/// The masses of right answers that begin with a form are spread evenly over these.
pub const RIGHT: [f64; 2] = [0.25, 0.95];

/// The share of right answers that begin with a form. They are the localised ones, and the others
/// have a P-mass below τ.
pub const RIGHT_LOCALISED: f64 = 0.9;

/// The share of wrong answers whose winner begins a form although the P-mass is below τ.
pub const LATE: f64 = 0.08;

/// The share of exchanged forms of enough mass whose first token is also the winner.
pub const EXCHANGED_BEGINS: f64 = 0.3;

/// The share of answers whose first two tokens begin a form, of those whose first does.
pub const VALID: f64 = 0.7;

/// The share of questions whose answer is neither right nor wrong.
pub const NOT_ATTEMPTED: f64 = 0.05;

/// The forms of so many other questions are tried on each.
pub const EXCHANGES: usize = 10;

/// If some forms alone pass, it is those of one in so many questions.
pub const POPULAR: f64 = 6.0;

pub const VOCABULARY: usize = 50_000;

/// The entropies over clusters of five answers.
pub const CLUSTERS: [f64; 5] = [0.0, 0.5, 0.95, 1.33, 1.61];

/// The questions of a world, and how they depend on each other.
#[derive(Clone, Copy)]
pub struct World {
    pub questions: usize,
    /// How many questions are about one entity. If it is one, they have no group.
    pub per_group: usize,
    /// The correlation of a trait of two questions of one group.
    pub alike: f64,
    /// The correlation of a trait of one question in two runs.
    pub same: f64,
    /// The same of what a group has in common.
    pub group_same: f64,
    /// Whether the forms of one question in [`POPULAR`] pass, and no others, whatever they are
    /// exchanged for.
    pub popular: bool,
}

/// What a model does in that world.
#[derive(Clone, Copy)]
pub struct Model {
    /// The share of wrong answers.
    pub wrong: f64,
    /// The rates at the first step, and at the informative one: the paper's, and the strict one.
    pub rates: [f64; 2],
    pub informative: [f64; 2],
    /// How often exchanged forms have a mass of τ or more.
    pub chance: f64,
    /// By how much concentration is higher in right answers than in failures of the same mass and as
    /// many ways, at each step.
    pub difference: [f64; 2],
    /// The least number of tokens that begin a form. One token has a concentration of 1.
    pub least_firsts: usize,
    /// Of wrong answers of each [`Kind`], the share that is localised.
    pub localised: [f64; 3],
    /// How much higher a detector's scores are than in right answers, for each [`Kind`].
    pub token_entropy: [f64; 3],
    pub p_true: [f64; 3],
    pub sequence: [f64; 3],
    /// How the entropies of right answers, and of wrong ones, are spread over [`CLUSTERS`]. Strict
    /// failures are as right answers: no judge can see them.
    pub clusters: [[f64; 5]; 2],
}

/// The kinds of wrong answers, of which each has one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Strict,
    /// A commitment failure whose winner begins a form.
    Phrase,
    Other,
}
