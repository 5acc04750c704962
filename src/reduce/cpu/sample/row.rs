//! One row, from its logits to a token.

use super::adjust::Adjust;
use super::candidates::add_pooled;
use super::draw::{AskedOfLeft, DrawnItem, Weighed};
use super::keys::Pooled;
use super::log_probs::at_most_0;
use super::maxima::Maxima;
use super::sources::concepts_of_tokens;
use super::weigh::Power;
use super::{Concepts, Drawn, Filter, Found, Left, Request, Scratch, Undrawn};
use crate::ConceptMap;
use crate::reduce::cpu::Tables;
use crate::reduce::cpu::logit::Logit;
use crate::reduce::cpu::pass::{self, reason};
use crate::reduce::cpu::scale::Scale;
use crate::reduce::cpu::search::Search;
use crate::reduce::cpu::simd::Isa;
use crate::reduce::cpu::stream::{AtLeast, BLOCK, block, first_maximum};

/// Samples a token from a row.
pub(super) fn sample_row<I: Isa, T: Logit>(
    isa: I,
    given: &[T],
    request: &Request<'_>,
    scratch: &mut Scratch,
) -> Result<Drawn, Undrawn> {
    let Scratch { row, maxima, found } = scratch;
    let view = View::of(isa, given, &request.adjust, row, maxima)?;
    let choice = view.choose(request, found).expect("the likeliest concept always has a weight");
    let (token, concept) = (view.emit(request, &choice), choice.concept);
    let Some(asked) = request.log_probs else {
        return Ok(Drawn { token, concept, log_probs: None });
    };
    let of_draw = (!asked.raw).then(|| view.log_probs_of_draw(request, &choice, asked.n, found));
    let raw = View::of(isa, given, &Adjust::NONE, row, maxima)?;
    let ln_z = raw.ln_total(found);
    let (of_concept, likeliest) =
        of_draw.unwrap_or_else(|| raw.log_probs(request.concepts, concept, asked.n, ln_z, found));
    let of_token = at_most_0(f64::from(raw.key(token)) - ln_z);
    let log_probs = super::DrawnLogProbs { concept: of_concept, token: of_token, likeliest };
    Ok(Drawn { token, concept, log_probs: Some(log_probs) })
}

/// A row in `f32` without NaN and `+inf`, which holds something above `-inf`.
#[derive(Clone, Copy)]
pub(super) struct View<'a, I> {
    pub(super) isa: I,
    pub(super) row: &'a [f32],
    /// The blocks' maxima.
    pub(super) maxima: &'a [f32],
    pub(super) max: f32,
}

/// A concept that was chosen.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub(super) concept: u32,
    /// The token that was drawn, where tokens are drawn and not concepts.
    token: Option<u32>,
    /// What is left of the uniform number that chose it: one itself.
    rest: f64,
    /// What it was drawn from; nothing, if it is the likeliest.
    pub(super) draw: Option<(Power, DrawnItem)>,
}

/// How a concept is drawn.
#[derive(Clone, Copy)]
struct Chance {
    /// Above 0.
    temperature: f64,
    filter: Filter,
    uniform: f64,
    /// Of the concepts that are left.
    asked: AskedOfLeft,
}

impl<'a, I: Isa> View<'a, I> {
    /// The row after all changes: the given one itself if it is `f32` and nothing is changed.
    pub(super) fn of<T: Logit>(
        isa: I,
        given: &'a [T],
        adjust: &Adjust<'_>,
        copy: &'a mut Vec<f32>,
        maxima: &'a mut Vec<f32>,
    ) -> Result<Self, Undrawn> {
        let row = match T::as_f32s(given).filter(|_| adjust.is_none()) {
            Some(given) => given,
            None => {
                copy.resize(given.len(), 0.0);
                adjust.write(isa, given, copy).map_err(Undrawn::Bad)?;
                copy
            }
        };
        maxima.resize(row.len().div_ceil(BLOCK), 0.0);
        let max = isa.vectorize(Maxima { row, blocks: maxima });
        if max.is_finite() {
            return Ok(Self { isa, row, maxima, max });
        }
        let is_masked = max == f32::NEG_INFINITY && !adjust.is_none();
        Err(if is_masked { Undrawn::NothingAllowed } else { Undrawn::Bad(reason(row)) })
    }

    /// The concept that is chosen; none if nothing has a weight, but the likeliest always has one.
    fn choose(self, request: &Request<'_>, found: &mut Found) -> Option<Choice> {
        let Request { concepts, temperature, uniform, log_probs, .. } = *request;
        let filter = request.filter.of(concepts.count(self.row.len()));
        let asked = match log_probs {
            Some(log_probs) if !log_probs.raw => AskedOfLeft::Count,
            _ => AskedOfLeft::Nothing,
        };
        let chance = Chance { temperature, filter, uniform, asked };
        if temperature == 0.0 {
            let (concept, token) = self.likeliest_concept(concepts);
            return Some(Choice { concept, token, rest: uniform, draw: None });
        }
        match concepts {
            Concepts::Tokens(ids) => self.draw_token(ids, chance, found),
            // A token drawn by its probability is of a concept drawn by its mass.
            Concepts::Pooled(map, _) if temperature == 1.0 && filter == Filter::NONE => {
                self.draw_token(Some(map.concept_ids()), chance, found)
            }
            Concepts::Pooled(map, tables) => self.draw_concept(map, tables, chance, found),
        }
    }

    /// The concepts that a request leaves, in the order of the draw, and their probabilities, as they
    /// are drawn from; of a greedy one, the likeliest.
    pub(super) fn left(self, request: &Request<'_>, found: &mut Found) -> Left {
        let Request { concepts, temperature, .. } = *request;
        if temperature == 0.0 {
            return vec![(self.likeliest_concept(concepts).0, 1.0)];
        }
        let filter = request.filter.of(concepts.count(self.row.len()));
        let chance = Chance { temperature, filter, uniform: 0.0, asked: AskedOfLeft::List };
        let choice = match concepts {
            Concepts::Tokens(ids) => self.draw_token(ids, chance, found),
            Concepts::Pooled(map, tables) => self.draw_concept(map, tables, chance, found),
        };
        let Some((law, _)) = choice.and_then(|choice| choice.draw) else { return Vec::new() };
        let weight = |&(concept, key): &(u32, f32)| (concept, law.ln_weight(key).exp());
        let mut left: Left = found.left.iter().map(weight).collect();
        let total: f64 = left.iter().map(|(_, weight)| weight).sum();
        left.iter_mut().for_each(|(_, weight)| *weight /= total);
        left
    }

    /// The concept with the largest mass, and its token if it has but one.
    fn likeliest_concept(self, concepts: Concepts<'_>) -> (u32, Option<u32>) {
        let Self { isa, row, maxima, max } = self;
        match concepts {
            Concepts::Tokens(None) => {
                let place = first_maximum(isa, row, maxima, max).expect("it is among the row");
                (place as u32, Some(place as u32))
            }
            Concepts::Tokens(Some(ids)) => {
                let mut best = (u32::MAX, 0);
                for (i, _) in maxima.iter().enumerate().filter(|&(_, &m)| m == max) {
                    let each = |place, _| {
                        let token = (i * BLOCK + place) as u32;
                        best = best.min((ids[token as usize], token));
                        max
                    };
                    isa.vectorize(AtLeast { block: block(row, i), threshold: max, each });
                }
                (best.0, Some(best.1))
            }
            Concepts::Pooled(map, tables) => (self.search(map, tables).winner().0.concept, None),
        }
    }

    pub(super) fn search(self, map: &'a ConceptMap, tables: &'a Tables) -> Search<'a, I, f32> {
        let Self { isa, row, maxima, max } = self;
        let scale = Scale::of(max).expect("the maximum of a view is finite");
        Search { isa, row, maxima, scale, map, tables }
    }

    pub(super) fn pooled(self, map: &'a ConceptMap, tables: &'a Tables) -> Pooled<'a> {
        Pooled { row: self.row, max: self.max, map, table: &tables.gather }
    }

    /// A draw where tokens are concepts, with ids of their own or their tokens'.
    fn draw_token(
        self,
        ids: Option<&[u32]>,
        Chance { temperature, filter, uniform, asked }: Chance,
        found: &mut Found,
    ) -> Option<Choice> {
        let law = Power::new(temperature, 0.0);
        let (concept_of, in_order) = concepts_of_tokens(ids);
        let pieces = [self.tokens(ids)];
        let draw = self.draw(law, &pieces, concept_of, in_order, asked);
        let drawn = draw.run_by_power(filter, uniform, &mut found.memory())?;
        let (concept, token) = (concept_of(drawn.item), Some(drawn.item));
        Some(Choice { concept, token, rest: drawn.rest, draw: Some((law, drawn)) })
    }

    /// A draw of a concept by its mass.
    fn draw_concept(
        self,
        map: &'a ConceptMap,
        tables: &'a Tables,
        Chance { temperature, filter, uniform, asked }: Chance,
        found: &mut Found,
    ) -> Option<Choice> {
        let choice = |concept, law, drawn: DrawnItem| {
            Some(Choice { concept, token: None, rest: drawn.rest, draw: Some((law, drawn)) })
        };
        let in_order = self.in_order(tables);
        if !filter.needs_total() && self.prune(map, tables, temperature, filter, found) {
            let top = found.candidates.keys().iter().copied().fold(0.0, f32::max);
            let law = Power::new(temperature, top);
            let concept_of = self.concepts_of_candidates(map);
            let draw = self.draw(law, &[], concept_of, in_order, asked);
            let drawn =
                draw.draw_candidates(filter, Weighed::default(), uniform, &mut found.memory())?;
            return choice(concept_of(drawn.item), law, drawn);
        }
        let law = Power::new(temperature, self.write_keys(map, tables, found));
        let concept_of = self.concepts_of_table(map, tables);
        let (keys, mut memory) = found.keys_and_memory();
        let pieces = self.pieces(tables, keys);
        let draw = self.draw(law, &pieces, concept_of, in_order, asked);
        let drawn = draw.run_by_power(filter, uniform, &mut memory)?;
        choice(concept_of(drawn.item), law, drawn)
    }

    /// Writes the keys of all concepts of the table; gives the largest key of all concepts.
    pub(super) fn write_keys(
        self,
        map: &'a ConceptMap,
        tables: &'a Tables,
        found: &mut Found,
    ) -> f32 {
        let Found { keys, key_maxima, .. } = found;
        keys.resize(tables.gather.concepts().len(), 0.0);
        self.pooled(map, tables).write(self.isa, 0..tables.gather.units(), 0, keys);
        key_maxima.resize(keys.len().div_ceil(BLOCK), 0.0);
        let top = self.isa.vectorize(Maxima { row: keys, blocks: key_maxima });
        // If no pooled concept has as much as the likeliest token, that is a concept of its own.
        top.max(0.0)
    }

    /// Collects the concepts that a filter may leave, which asks for `k` or a least weight; gives up
    /// with `false` if they are too many to look at one by one.
    pub(super) fn prune(
        self,
        map: &'a ConceptMap,
        tables: &'a Tables,
        temperature: f64,
        Filter { k, p, min_p }: Filter,
        found: &mut Found,
    ) -> bool {
        let search = self.search(map, tables);
        if search.sums_sooner() {
            return false;
        }
        let large = tables.gather.large_units();
        found.keys.resize(tables.gather.concepts().len() - tables.gather.first_large(), 0.0);
        let pooled = self.pooled(map, tables);
        pooled.write(self.isa, large, tables.gather.first_large(), &mut found.keys);
        // The largest key is at least 0, and what min_p leaves is within this of it.
        // With top_p it must not prune: that is a share of weights that min_p removes.
        let is_bound = min_p > 0.0 && p.is_none();
        let lowest = if is_bound { (min_p.ln() * temperature) as f32 } else { f32::MIN };
        let lowest = lowest.max(f32::MIN);
        // So many tokens are at least as likely as this one. If they are of fewer concepts, it has to
        // be lower.
        let nth = k.filter(|&k| k <= self.maxima.len());
        let nth = nth.and_then(|k| found.buffers.nth_largest(self.maxima, k));
        let mut guess = if k.is_some() { nth.map_or(-4.0, |nth| nth - self.max) } else { lowest };
        let singletons = self.singletons(tables);
        for _ in 0..4 {
            let from = guess.max(lowest);
            let Found { keys, candidates, is_listed, .. } = found;
            candidates.clear(self.row.len() + keys.len());
            candidates.add(self.isa, &singletons, from);
            if !add_pooled(search, pooled, keys, from, candidates, is_listed) {
                return false;
            }
            if from == lowest || k.is_some_and(|k| found.candidates.keys().len() >= k) {
                return true;
            }
            guess = 2.0 * guess - 4.0;
        }
        false
    }

    /// The token that is emitted for a concept.
    fn emit(self, request: &Request<'a>, choice: &Choice) -> u32 {
        match (request.concepts, choice.token) {
            (Concepts::Tokens(_), Some(token)) => token,
            (_, Some(token)) if request.by_share => token,
            _ => self.spell(request, choice.concept, choice.rest),
        }
    }

    /// The token that is emitted for a concept; `uniform` chooses it, where it is chosen by its share.
    pub(super) fn spell(self, request: &Request<'a>, concept: u32, uniform: f64) -> u32 {
        match request.concepts {
            Concepts::Pooled(map, _) if request.by_share => {
                by_share(self.row, map.tokens(concept).unwrap_or_default(), uniform)
            }
            concepts => self.representative(concepts, concept),
        }
    }
}

/// One of a concept's tokens, each by its share of the mass.
pub(crate) fn by_share(row: &[f32], tokens: &[u32], uniform: f64) -> u32 {
    let likeliest = pass::likeliest(row, tokens);
    let scale = Scale::of(row[likeliest as usize]);
    let weight = |token: u32| scale.map_or(0.0, |scale| scale.weight(row[token as usize]));
    let target = uniform * tokens.iter().map(|&token| weight(token)).sum::<f64>();
    let mut sum = 0.0;
    let reached = tokens.iter().copied().find(|&token| {
        sum += weight(token);
        sum > target
    });
    reached.unwrap_or(likeliest)
}
