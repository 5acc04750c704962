// What Rust and CUDA must agree on, written once. It is no module of its own but the body of a
// macro `table!`, which each reader defines for itself before it includes this file:
//
//     src/reduce/abi.rs    the crate: constants, structs, and which kernel takes which struct
//     build.rs             the kernels: the header `abi.cuh`, in which nvcc checks every size and
//                          offset against those that rustc has computed, as the crate does, and
//                          every kernel's parameter against the struct that the crate passes to it
//
// So there is no second side that could be changed alone.

table! {
    constants {
        /// Lanes of a warp.
        WARP = 32;
        /// Warps of a block.
        WARPS = 4;
        /// Threads of a block.
        THREADS = WARPS * WARP;
        /// Logits of a tile that one lane holds: enough for several loads in flight, few enough to
        /// stay in registers, so that maximum, sums and search read them once.
        PER_LANE = 32;
        /// Logits that a warp streams at a time, and that share one element of `partials`.
        TILE = PER_LANE * WARP;
        /// Tokens that a block of masses.cu streams.
        TOKENS_PER_BLOCK = 4096;
        /// Rows that share what a block reads of a map, at most.
        MAX_ROWS_PER_BLOCK = 8;
        /// A set of at most this many tokens is gathered by a thread: so few loads can all be in
        /// flight at once.
        MAX_BY_THREAD = 32;
        /// A larger set of at most this many tokens is gathered by a warp; any other by a block.
        MAX_BY_WARP = 1024;
        /// A concept of at most this many tokens is found by its likeliest token; larger ones are all
        /// summed.
        MAX_SMALL = 8;
        /// The id that stands for "there is none".
        NONE = 0xffff_ffff;
        /// The oldest compute capability that the kernels run on, in tenths.
        MIN_CAPABILITY = 80;
        /// Set in `concept_of` for a token whose concept has other tokens too.
        POOLED = 0x8000_0000;
        /// Bits of `PackedDecision::status`: the row holds a NaN,
        STATUS_NAN = 1;
        /// it holds `+inf`,
        STATUS_POS_INF = 2;
        /// it holds nothing but `-inf`.
        STATUS_ALL_NEG_INF = 4;
        /// Of `PackedSampled::status`, besides: the row's changes leave nothing to sample,
        STATUS_NOTHING_ALLOWED = 8;
        /// there is no map at the row's place,
        STATUS_NO_MAP = 16;
        /// there is no such slot, or no request in it,
        STATUS_NO_SLOT = 32;
        /// an earlier row of the batch has the slot.
        STATUS_SLOT_TWICE = 64;
        /// Bits of `SlotParams::flags`: there is a request in the slot,
        SLOT_STARTED = 1;
        /// a concept's token is chosen by its share,
        SLOT_BY_SHARE = 2;
        /// tokens pay for having been seen,
        SLOT_PENALISED = 4;
        /// the map applies,
        SLOT_POOLING = 8;
        /// there is a top_k (below the number of concepts), a top_p (below 1), a min_p (above 0),
        SLOT_TOP_K = 16;
        SLOT_TOP_P = 32;
        SLOT_MIN_P = 64;
        /// the sum of all weights has to be known, and it is one of masses: the temperature is not 1.
        SLOT_TOTAL = 128;
        SLOT_OF_MASSES = 256;
        /// Some tokens have a bias.
        SLOT_BIASED = 512;
        /// All filters.
        SLOT_FILTERS = SLOT_TOP_K + SLOT_TOP_P + SLOT_MIN_P;
        /// The concepts of a row that are listed in shared memory, at most.
        MAX_LISTED = 3072;
        /// Those that a warp of `collect` lists, at most.
        LISTED_BY_WARP = 64;
        /// The blocks that gather a row's pooled concepts in `collect` and `settle`: fewer than those of
        /// a large map, which they take in turns, since a graph that was captured knows no map.
        SET_BLOCKS = 16;
        /// The warps of them.
        SET_WARPS = SET_BLOCKS * WARPS;
        /// The blocks that write a row's keys in `settle`, in turns.
        KEY_BLOCKS = 16;
    }

    structs {
        /// What is decided in one row; `Decision` in src/reduce/row.rs says what each field means.
        #[repr(C)]
        #[derive(bytemuck::Pod, bytemuck::Zeroable)]
        struct PackedDecision {
            winner: u32,
            representative: u32,
            greedy: u32,
            status: u32,
            mass: f32,
            representative_prob: f32,
            greedy_prob: f32,
            log_z: f32,
        }

        /// What is found in one row; `Row` in src/reduce/row.rs says what each field means.
        #[repr(C)]
        #[derive(bytemuck::Pod, bytemuck::Zeroable)]
        struct PackedRow {
            decision: PackedDecision,
            runner_up: u32,
            runner_up_mass: f32,
            token_entropy: f32,
            concept_entropy: f32,
        }

        /// A concept as it is compared: its largest logit, Σ e^(l - max) over its tokens, its id,
        /// and its representative.
        #[repr(C, align(16))]
        struct Candidate {
            max: f32,
            sum: f32,
            id: u32,
            token: u32,
        }

        /// The largest of some logits, Σ e^(l - max) and Σ (l - max) e^(l - max) over them: what
        /// probabilities, log Z and the token entropy are made of.
        #[repr(C, align(16))]
        struct Sums {
            max: f32,
            sum: f32,
            dot: f32,
            unused: f32,
        }

        /// The logits of a batch.
        #[repr(C)]
        struct LogitsView {
            /// The first logit of row 0.
            first: *const c_void,
            /// From row to row, in logits.
            row_stride: u64,
            /// B
            batch: u32,
            /// V
            vocab_size: u32,
        }

        /// Memory that the operations of one stream share, one after the other.
        #[repr(C)]
        struct Scratch {
            /// What the blocks of a row leave for the last of them.
            partials: *mut Sums,
            /// `[B]`: the sums over each row; `sum` is NaN if the row has no winner.
            totals: *mut Sums,
            /// `[B]`, all 0 between launches.
            tickets: *mut u32,
        }

        /// Sets of tokens (pooled concepts, or what is to be measured) in CSR form, by their number of
        /// tokens, the fewest first, and those of one size by their lowest token. The number of a set in
        /// that order is its rank.
        #[repr(C)]
        struct Sets {
            /// `[sets + 1]`: rank r has `members[starts[r]..starts[r + 1]]`.
            starts: *const u32,
            /// Tokens, ascending within a set.
            members: *const u32,
            /// `[sets]`: the set's own number.
            ids: *const u32,
            /// Ranks below it are gathered by a thread each,
            by_thread: u32,
            /// those from there to below it by a warp each,
            by_warp: u32,
            /// and those from there to below it by a block each.
            by_block: u32,
        }

        #[repr(C)]
        struct SumsArgs {
            logits: LogitsView,
            scratch: Scratch,
        }

        /// The concepts of more than MAX_SMALL tokens, by their number of tokens.
        #[repr(C)]
        struct LargeSets {
            /// `[sets]`: the concept's id.
            ids: *const u32,
            /// Tokens, ascending within a set, and then `NONE` up to the number that its threads take
            /// at a time, four each; aligned to 16 bytes.
            members: *const u32,
            /// Of each set that is summed by a block: where it ends, in fours, from the first of those.
            huge_ends: *const u32,
            /// Ranks below it are summed by 4 threads each,
            by_4: u32,
            /// those from there to below it by 8,
            by_8: u32,
            /// by 16,
            by_16: u32,
            /// by a warp, and the others by a block each, in as many turns as it takes.
            by_warp: u32,
            /// How many blocks sum them.
            blocks: u32,
        }

        #[repr(C)]
        struct DecideArgs {
            logits: LogitsView,
            large: LargeSets,
            /// `[V]`, with the bit `POOLED`.
            concept_of: *const u32,
            /// `[V, MAX_SMALL]`, aligned to 16 bytes: the tokens of each token's concept, ascending,
            /// then `NONE`; of a large concept `NONE`, but in the end its rank among all `Sets`, with the
            /// bit `POOLED`.
            members_of: *const u32,
            /// `[B, partials_per_row]`: what the blocks of a row leave for the last of them.
            partials: *mut Candidate,
            partials_per_row: u64,
            /// `[B]`, all 0 between launches.
            tickets: *mut u32,
            /// How far below the row's maximum a logit may be, for a small concept of it to win.
            reach: f32,
            /// C
            num_concepts: u32,
            /// `[B]`, aligned to 16 bytes.
            decisions: *mut PackedDecision,
            /// From row to row, in 16 bytes.
            decision_stride: u64,
            /// `[B]`: the representatives once more.
            tokens: *mut u32,
        }

        #[repr(C)]
        struct SurveyArgs {
            decide: DecideArgs,
            /// `[B]`: the sums over each row; `sum` is NaN if the row has no winner.
            totals: *mut Sums,
        }

        #[repr(C)]
        struct RowsArgs {
            logits: LogitsView,
            /// `[B, blocks * WARPS]`: what the warps leave for the last block of a row.
            partials: *mut Sums,
            /// `[B]`: the sums over each row; `sum` is NaN if the row has no winner.
            totals: *const Sums,
            /// `[B]`, all 0 between launches.
            tickets: *mut u32,
            sets: Sets,
            /// `[V]`, with the bit `POOLED`.
            concept_of: *const u32,
            /// As `survey` has left them: `partials` and `partials_per_row`.
            surveyed: *mut Candidate,
            surveyed_per_row: u64,
            /// Where a row's `Sums` of its tiles begin in that.
            tiles_at: u64,
            /// `[B]`: the decisions are there.
            rows: *mut PackedRow,
            /// At most `MAX_ROWS_PER_BLOCK`, as in what follows.
            rows_per_block: u32,
        }

        #[repr(C)]
        struct MassesArgs {
            logits: LogitsView,
            totals: *const Sums,
            sets: Sets,
            concept_of: *const u32,
            /// `[B, C]`
            masses: *mut f32,
            /// C
            num_concepts: u64,
            rows_per_block: u32,
        }

        #[repr(C)]
        struct PoolArgs {
            logits: LogitsView,
            totals: *const Sums,
            sets: Sets,
            concept_of: *const u32,
            /// `[B, V]`
            pooled: *mut f32,
            rows_per_block: u32,
        }

        #[repr(C)]
        struct MeasureArgs {
            logits: LogitsView,
            totals: *const Sums,
            sets: Sets,
            /// `[B, S]`
            masses: *mut f32,
            /// `[B, S]`
            concentrations: *mut f32,
            /// S
            num_sets: u64,
            rows_per_block: u32,
        }

        #[repr(C)]
        struct WeighArgs {
            logits: LogitsView,
            sets: Sets,
            /// `[B, partials_per_row]`: the weights of the parts of a row; kernels/parts.cuh says in
            /// which form.
            partials: *mut Sums,
            partials_per_row: u64,
            /// The square root of 1 / temperature.
            root: f32,
            rows_per_block: u32,
        }

        #[repr(C)]
        struct DrawArgs {
            logits: LogitsView,
            sets: Sets,
            /// A bit for each token, whether its concept is one that `weigh` has weighed, up to a whole
            /// number of tiles; null if tokens are drawn, and the concept is that of the token.
            pooled: *const u32,
            /// `[V, MAX_SMALL]`, as in `DecideArgs`.
            members_of: *const u32,
            /// As `weigh` has left it.
            partials: *mut Sums,
            partials_per_row: u64,
            /// `[B]`, all 0 between launches.
            tickets: *mut u32,
            /// `[1 + B]`: the seed, and how many tokens each row has drawn before.
            noise: *mut u64,
            /// `[B]`
            tokens: *mut u32,
            /// The square root of 1 / temperature.
            root: f32,
        }

        /// Which tokens of a tile a sparse table knows.
        #[repr(C)]
        #[derive(bytemuck::Pod, bytemuck::Zeroable)]
        struct SparseTile {
            /// Where the tile's 32 words begin; `NONE` if it has no token of the table.
            words_at: u32,
            /// How many tokens of the table lie before the tile.
            before: u32,
        }

        /// What a sparse table knows of 32 neighbouring tokens.
        #[repr(C, align(16))]
        #[derive(bytemuck::Pod, bytemuck::Zeroable)]
        struct SparseWord {
            /// A bit for each token of the table.
            tokens: u32,
            /// A bit for each of them that is marked.
            marked: u32,
            /// How many tokens of the table lie before these.
            before: u32,
            unused: u32,
        }

        /// A number for some tokens of the vocabulary, in memory that grows with these alone.
        #[repr(C)]
        struct SparseTable {
            /// `[tiles]`; null if the table is empty.
            tiles: *const SparseTile,
            /// 32 for each tile that has tokens of the table.
            words: *const SparseWord,
            /// For each token of the table, in their order.
            values: *const u32,
        }

        /// A map among others.
        #[repr(C)]
        struct MapView {
            sets: Sets,
            /// The tokens of named concepts; the others are concepts of their own. Marked are those that
            /// share a concept, whose value is its rank; the value of the others is their concept's id.
            named: SparseTable,
            /// The concept of the first token that is not named; those of the others follow, in the order
            /// of tokens.
            first_id: u32,
            /// C; 0 if there is no map at this place.
            num_concepts: u32,
            /// No other map has it.
            generation: u64,
            /// Whether a token that shares no concept is named.
            names_single_tokens: u32,
            unused: u32,
        }

        /// What the request in a slot asks for.
        #[repr(C)]
        struct SlotParams {
            seed: u64,
            /// That of the map which is meant, whatever is at its place by now.
            generation: u64,
            /// From 0 to 1; 1 for all.
            top_p: f64,
            /// What is added to logits, in `f32`.
            bias: SparseTable,
            /// The place of the map; `NONE` if nothing is pooled.
            map: u32,
            flags: u32,
            /// 1 for a greedy request, whose temperature is 1.
            top_k: u32,
            /// min_p as a distance of keys (kernels/step.cuh): temperature · log2 min_p.
            min_key: f32,
            /// The square root of 1 / temperature.
            root: f32,
            repetition: f32,
            presence: f32,
            frequency: f32,
        }

        /// What was sampled from a row.
        #[repr(C)]
        #[derive(bytemuck::Pod, bytemuck::Zeroable)]
        struct PackedSampled {
            token: u32,
            concept: u32,
            status: u32,
            slot: u32,
        }

        /// What the launches of a step leave for each other about a row.
        #[repr(C, align(16))]
        struct StepWork {
            /// The largest logit, after all changes.
            max: f32,
            /// Concepts whose key is not below it are listed.
            threshold: f32,
            /// What is left to do.
            phase: u32,
            /// Whether the threshold is that of min_p, so that nothing below it is left.
            is_bound: u32,
        }

        /// A concept that may be left: its key, and its place in the order of the draw.
        #[repr(C)]
        struct Listed {
            key: f32,
            item: u32,
        }

        /// Tokens that a request has seen.
        #[repr(C)]
        struct SeeArgs {
            /// `[len]`, each once.
            tokens: *const u32,
            /// `[len]`: how often.
            times: *const u32,
            len: u32,
            unused: u32,
            /// The slot's, as in `StepArgs`.
            seen: *mut u32,
            counts: *mut u32,
        }

        /// One step of a batch whose rows are requests in slots.
        #[repr(C)]
        struct StepArgs {
            logits: LogitsView,
            /// `[num_maps]`
            maps: *const MapView,
            num_maps: u32,
            num_slots: u32,
            /// `[B]`; null if the rows are no requests but ask for `shared`, with the maps of `map_of_row`
            /// (`[B]`, places or `NONE`) and the noise of `DrawArgs`.
            slot_of_row: *const u32,
            map_of_row: *const u32,
            noise: *mut u64,
            shared: SlotParams,
            /// `[num_slots]`, as all that follows up to the mask.
            slots: *const SlotParams,
            /// `[num_slots]`: how many tokens each request has drawn.
            steps: *mut u64,
            /// `[num_slots, tiles · 32]`: a bit for each token that the request has seen.
            seen: *mut u32,
            /// `[num_slots, V]`: how often, where that bit is set.
            counts: *mut u32,
            /// `[B, mask_words]`, a bit for each token that is allowed; null if all are.
            mask: *const u32,
            mask_stride: u64,
            mask_words: u32,
            /// How many `Sums` each row has for its tiles and then its sets.
            parts_per_row: u32,
            /// `[B, work_per_row]`, in 16 bytes: a `StepWork`; `parts_per_row` `Sums`; for each tile and
            /// each of SET_WARPS, `LISTED_BY_WARP` `Listed`, and after all of these how many of them there
            /// are; and a key for each token and each set.
            work: *mut Sums,
            work_per_row: u64,
            /// `[B]`, all 0 between launches.
            tickets: *mut u32,
            /// `[B]`
            sampled: *mut PackedSampled,
            /// `[B]`: the tokens once more.
            tokens: *mut u32,
        }

        #[repr(C)]
        struct PrepareArgs {
            step: StepArgs,
        }

        #[repr(C)]
        struct CollectArgs {
            step: StepArgs,
        }

        #[repr(C)]
        struct SettleArgs {
            step: StepArgs,
        }
    }

    // Each kernel is there once for each of these.
    dtypes {
        f32: F32 = "float";
        f16: F16 = "__half";
        bf16: BF16 = "__nv_bfloat16";
    }

    // By the files that define them.
    kernels {
        decide { sums(SumsArgs), decide(DecideArgs), survey(SurveyArgs) }
        rows { rows(RowsArgs) }
        masses { masses(MassesArgs), pool(PoolArgs), measure(MeasureArgs) }
        draw { weigh(WeighArgs), draw(DrawArgs) }
        sample { prepare(PrepareArgs), collect(CollectArgs), settle(SettleArgs) }
        slots { see(SeeArgs) }
    }
}
