use half::bf16;

use super::LANES;

/// Sixteen indices to a slot, all from 1 to below a bound.
///
/// Checked reads at scattered places would cost more than the reads: sixteen comparisons to a
/// vector, or one comparison that ties the indices up in a vector register. Here every index is
/// compared once, when it is added, and a row once, when its [`Picker`] is made.
#[derive(Default)]
pub(crate) struct Slots {
    indices: Vec<[u32; LANES]>,
    /// Every index is below it.
    bound: usize,
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        self.indices.len()
    }

    /// # Panics
    ///
    /// If an index is 0; see [`Picker::pick_with_neighbours`].
    pub(crate) fn push(&mut self, indices: [u32; LANES]) {
        for index in indices {
            assert!(index > 0, "the value at 0 has none before it");
            self.bound = self.bound.max(index as usize + 1);
        }
        self.indices.push(indices);
    }

    /// Prepares to read `row` at the indices.
    ///
    /// # Panics
    ///
    /// If an index is out of the row's range.
    pub(crate) fn of<'a, T>(&'a self, row: &'a [T]) -> Picker<'a, T> {
        assert!(self.bound <= row.len(), "index {} of {} values", self.bound - 1, row.len());
        Picker { row, indices: &self.indices }
    }
}

/// A row, and slots of indices that all lie in it; from [`Slots::of`].
#[derive(Clone, Copy)]
pub(crate) struct Picker<'a, T> {
    row: &'a [T],
    indices: &'a [[u32; LANES]],
}

impl<T: Copy> Picker<'_, T> {
    /// The sixteen values that a slot names.
    #[inline(always)]
    pub(crate) fn pick(&self, slot: usize) -> [T; LANES] {
        let indices = &self.indices[slot];
        // SAFETY: `of` found the bound of all indices within the row, and both are borrowed since.
        let at = |lane: usize| unsafe { *self.row.get_unchecked(indices[lane] as usize) };
        in_every_lane(at)
    }
}

impl Picker<'_, bf16> {
    /// The sixteen values that a slot names, each in the upper half of a lane whose lower half is
    /// the value before it in the row.
    ///
    /// A 32-bit read goes straight into its lane, where sixteen 16-bit ones would have to be
    /// widened together afterwards. That is why no slot names the first value of a row.
    #[cfg(target_endian = "little")]
    #[inline(always)]
    pub(crate) fn pick_with_neighbours(&self, slot: usize) -> [u32; LANES] {
        let indices = &self.indices[slot];
        // SAFETY: `of` found the bound of all indices within the row, and `push` found them above
        // 0, so that the four bytes read are those of two neighbours in the row.
        let at = |lane: usize| unsafe {
            self.row.as_ptr().add(indices[lane] as usize - 1).cast::<u32>().read_unaligned()
        };
        in_every_lane(at)
    }
}

/// `[at(0), at(1) … at(15)]`, written out, so that the values go straight into a register: a loop
/// would leave them in memory, sixteen short stores that one long load has to wait for.
#[inline(always)]
#[rustfmt::skip]
fn in_every_lane<T>(at: impl Fn(usize) -> T) -> [T; LANES] {
    [
        at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7),
        at(8), at(9), at(10), at(11), at(12), at(13), at(14), at(15),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_what_the_slots_name() {
        let row: Vec<u32> = (100..120).collect();
        let mut slots = Slots::default();
        let indices: [u32; LANES] = std::array::from_fn(|i| 19 - i as u32);
        slots.push([1; LANES]);
        slots.push(indices);
        let picker = slots.of(&row);
        assert_eq!(picker.pick(0), [101; LANES]);
        assert_eq!(picker.pick(1), indices.map(|i| 100 + i));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn neighbours_are_in_the_lower_half() {
        let row: Vec<bf16> = (0..20).map(|i| bf16::from_bits(i * 3)).collect();
        let mut slots = Slots::default();
        let indices: [u32; LANES] = std::array::from_fn(|i| 19 - i as u32);
        slots.push(indices);
        let expected = indices.map(|i| (i * 3) << 16 | ((i - 1) * 3));
        assert_eq!(slots.of(&row).pick_with_neighbours(0), expected);
    }

    #[test]
    #[should_panic(expected = "the value at 0")]
    fn the_first_value_is_refused() {
        Slots::default().push([0; LANES]);
    }

    #[test]
    #[should_panic(expected = "index 19 of 19 values")]
    fn a_row_that_is_too_short_is_refused() {
        let mut slots = Slots::default();
        let mut indices = [1; LANES];
        indices[9] = 19;
        slots.push(indices);
        slots.of(&[0.0; 19]);
    }
}
