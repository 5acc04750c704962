//! What is read is the same however it is read: alone or in a batch, at once or bit by bit.

use candle_core::{D, Device, Tensor};

use super::support::{ARCHITECTURES, loaded, toy};
use concept_mass_models::{Cache, Model, Pass};
use concept_mass_tiny::toy::{HIDDEN, WINDOW, config, tensors};

/// Longer than any window.
const LENGTH: usize = 3 * WINDOW;

fn model(architecture: &str) -> Model {
    let toy = toy(architecture, &config(architecture, true), &tensors(architecture, true));
    loaded(&toy.dir).model
}

fn text(length: usize) -> Vec<u32> {
    (0..length as u32).map(|i| (i * 37 + 11) % 1152).collect()
}

fn rows(rows: &[Vec<u32>]) -> Tensor {
    let (n, columns) = (rows.len(), rows[0].len());
    Tensor::from_vec(rows.concat(), (n, columns), &Device::Cpu).unwrap()
}

fn says(logits: &Tensor) -> Vec<f32> {
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
fn same(a: &Tensor, b: &Tensor) {
    let (a, b) = (says(a), says(b));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

/// Some texts, as branches of one tree: what each column of a pass has, and follows.
fn tree(texts: &[Vec<u32>], from: usize) -> (Vec<u32>, Vec<Option<usize>>, Vec<usize>) {
    let (mut tokens, mut follow, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let mut at = from.checked_sub(1);
        for &token in text {
            let known = (0..tokens.len()).find(|&i| (tokens[i], follow[i]) == (token, at));
            let column = known.unwrap_or_else(|| {
                tokens.push(token);
                follow.push(at);
                tokens.len() - 1
            });
            at = Some(from + column);
        }
        ends.push(at.unwrap() - from);
    }
    (tokens, follow, ends)
}

#[test]
fn each_branch_of_a_tree_is_read_as_a_text_alone() {
    for architecture in ARCHITECTURES {
        let mut model = model(architecture);
        let trunk = text(LENGTH);
        let branches = [vec![5, 6, 7], vec![5, 6], vec![9], vec![5, 8, 7, 3], text(LENGTH)];
        let (tokens, follow, ends) = tree(&branches, trunk.len());
        assert!(tokens.len() < branches.concat().len(), "nothing is shared");
        let last = [model.num_blocks() - 1];
        model.forward(&rows(std::slice::from_ref(&trunk)), 0).unwrap();
        let (tokens, follow) = (rows(&[tokens]), [follow]);
        let pass = Pass::new(&tokens).follow(&follow).positions(&ends).states(&last);
        let together = model.read(&pass).unwrap();
        for (i, branch) in branches.iter().enumerate() {
            model.reset();
            let text = rows(&[[&trunk[..], branch].concat()]);
            let alone = model.read(&Pass::new(&text).states(&last)).unwrap();
            same(&together.logits.narrow(1, i, 1).unwrap(), &alone.logits);
            let state = alone.states[0].narrow(1, text.dim(1).unwrap() - 1, 1).unwrap();
            same(&together.states[0].narrow(1, i, 1).unwrap(), &state);
        }
    }
}

/// On a CPU and in `f32`, a text has the same bits whatever is read with it, and in how many passes.
#[test]
fn what_is_read_together_does_not_matter() {
    let mut model = model("gemma2"); // with windows, and caps
    let texts = (1..20).map(|i| (0..i).map(|j| (i * 71 + j * 5) % 1152).collect());
    let texts: Vec<Vec<u32>> = texts.collect();
    let (tokens, follow, ends) = tree(&texts, 0);
    let (tokens, follow) = (rows(&[tokens]), [follow]);
    let together = model.read(&Pass::new(&tokens).follow(&follow).positions(&ends)).unwrap().logits;
    for (i, text) in texts.iter().enumerate() {
        model.reset();
        let (first, last) = text.split_at(text.len() / 2);
        if !first.is_empty() {
            model.forward(&rows(&[first.to_vec()]), 0).unwrap();
        }
        let alone = model.forward(&rows(&[last.to_vec()]), first.len()).unwrap();
        assert_eq!(says(&together.narrow(1, i, 1).unwrap()), says(&alone), "{i}");
    }
}

/// Phi-3's positions are scaled anew beyond some number of tokens, and what was read before with
/// them.
#[test]
fn a_text_does_not_go_on_across_the_length_at_which_positions_are_scaled_anew() {
    let mut config = config("phi3", true);
    let factors = |factor: f64| vec![factor; config["hidden_size"].as_u64().unwrap() as usize / 8];
    let scaling = serde_json::json!({
        "type": "longrope", "short_factor": factors(1.0), "long_factor": factors(4.0),
    });
    config["rope_scaling"] = scaling;
    config["original_max_position_embeddings"] = 20.into();
    let mut model = loaded(&toy("longrope", &config, &tensors("phi3", true)).dir).model;
    let token = rows(&[vec![5]]);
    alone(&mut model, &text(19));
    model.forward(&token, 19).unwrap(); // the twentieth
    let error = model.forward(&token, 20).unwrap_err().to_string();
    assert!(error.contains("has had 20 tokens, and now has 21"), "{error}");
    assert_eq!(model.cache().len(), 20);
    alone(&mut model, &text(21));
    model.forward(&token, 21).unwrap();
    model.cache_mut().truncate(10);
    let error = model.forward(&token, 10).unwrap_err().to_string();
    assert!(error.contains("has had 22 tokens, and now has 11"), "{error}");
    model.reset();
    model.forward(&token, 0).unwrap();
}

/// What copies share is theirs as long as they do not write to it.
#[test]
fn copies_of_a_cache_go_on_by_themselves() {
    let mut model = model("llama");
    alone(&mut model, &text(5));
    let cache = model.cache().clone();
    let mut says = |cache: &Cache, tokens: &[u32]| {
        model.set_cache(cache.clone()).unwrap();
        let logits = model.forward(&rows(&[tokens.to_vec()]), 5).unwrap();
        (says(&logits), model.cache().clone())
    };
    let (first, longer) = says(&cache, &[1, 2]);
    let (second, _) = says(&cache, &[3, 4]);
    assert_ne!(first, second);
    assert_eq!(says(&cache, &[1, 2]).0, first);
    // Spread, gone on, and cut back.
    let mut three = longer.spread(3).unwrap();
    three.truncate(5);
    model.set_cache(three).unwrap();
    let logits = model.forward(&rows(&[vec![3, 4], vec![1, 2], vec![3, 4]]), 5).unwrap();
    for (row, expected) in [&second, &first, &second].into_iter().enumerate() {
        let got = self::says(&logits.get(row).unwrap());
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4));
    }
    assert!(cache.spread(0).unwrap().is_empty());
    model.set_cache(cache.select(&[]).unwrap()).unwrap();
    model.forward(&rows(&[vec![1]]), 0).unwrap();
}

/// The logits after `text`, alone.
fn alone(model: &mut Model, text: &[u32]) -> Tensor {
    model.reset();
    model.forward(&rows(&[text.to_vec()]), 0).unwrap()
}

#[test]
fn rows_of_unequal_length_are_read_as_each_alone() {
    for architecture in ARCHITECTURES {
        let mut model = model(architecture);
        let texts = [text(LENGTH), text(LENGTH - 5)[1..].to_vec(), text(3)];
        let padding: Vec<usize> = texts.iter().map(|text| LENGTH - text.len()).collect();
        let padded = texts
            .iter()
            .zip(&padding)
            .map(|(text, &padding)| [vec![9; padding], text.clone()].concat());
        let padded = rows(&padded.collect::<Vec<_>>());
        let batch = model.read(&Pass::new(&padded).padding(&padding)).unwrap().logits;
        let next = model.forward(&rows(&[vec![5], vec![6], vec![7]]), LENGTH).unwrap();
        for (row, (text, token)) in texts.iter().zip([5, 6, 7]).enumerate() {
            same(&alone(&mut model, text), &batch.get(row).unwrap());
            let longer = [text.clone(), vec![token]].concat();
            same(&alone(&mut model, &longer), &next.get(row).unwrap());
        }
    }
}

#[test]
fn continuations_of_unequal_length_may_follow_one_prompt() {
    for architecture in ARCHITECTURES {
        let mut model = model(architecture);
        alone(&mut model, &text(10));
        let prompt = model.cache().clone();
        model.set_cache(prompt.spread(2).unwrap()).unwrap();
        let more = rows(&[vec![1, 2, 3], vec![9, 9, 4]]);
        let logits = model.read(&Pass::new(&more).padding(&[0, 2])).unwrap().logits;
        for (row, more) in [&[1u32, 2, 3][..], &[4]].into_iter().enumerate() {
            let whole = [&text(10), more].concat();
            same(&alone(&mut model, &whole), &logits.get(row).unwrap());
        }
    }
}

#[test]
fn a_text_in_pieces_is_the_whole() {
    for architecture in ARCHITECTURES {
        let mut model = model(architecture);
        let text = text(LENGTH);
        let whole =
            model.read(&Pass::new(&rows(std::slice::from_ref(&text))).all_positions()).unwrap();
        model.reset();
        let mut read = 0;
        for size in [1, 6, 1, 1, 10, 5] {
            let piece = rows(&[text[read..read + size].to_vec()]);
            let pass = Pass::new(&piece).all_positions();
            let logits = model.read(&pass).unwrap().logits;
            same(&logits, &whole.logits.narrow(1, read, size).unwrap());
            read += size;
        }
        assert_eq!(read, LENGTH);
    }
}

#[test]
fn a_cache_is_spread_cut_back_and_chosen_from() {
    for architecture in ARCHITECTURES {
        let mut model = model(architecture);
        let text = text(LENGTH);
        alone(&mut model, &text);
        let mut cache = model.cache().clone();
        assert_eq!((cache.len(), cache.num_rows()), (LENGTH, 1));
        cache.truncate(LENGTH - 4);
        let three = cache.spread(3).unwrap();
        model.set_cache(three.clone()).unwrap();
        let next = [700, 5, 1151];
        let logits = model.forward(&rows(&next.map(|token| vec![token])), LENGTH - 4).unwrap();
        let two = model.cache().select(&[2, 0]).unwrap();
        for (row, token) in next.into_iter().enumerate() {
            let whole = [text[..LENGTH - 4].to_vec(), vec![token]].concat();
            same(&alone(&mut model, &whole), &logits.get(row).unwrap());
        }
        // What was taken before is as it was, and what was chosen goes on.
        assert_eq!(three.len(), LENGTH - 4);
        model.set_cache(two).unwrap();
        let after = model.forward(&rows(&[vec![1], vec![2]]), LENGTH - 3).unwrap();
        for (row, more) in [[1151, 1], [700, 2]].into_iter().enumerate() {
            let whole = [&text[..LENGTH - 4], &more].concat();
            same(&alone(&mut model, &whole), &after.get(row).unwrap());
        }
    }
}

/// A block sees as far as its window, and two blocks twice as far.
#[test]
fn what_is_beyond_the_windows_does_not_matter() {
    for architecture in ["mistral", "phi3"] {
        let mut model = model(architecture);
        let differs = |model: &mut Model, place: usize| {
            let (mut text, length) = (text(LENGTH), LENGTH);
            let before = says(&alone(model, &text));
            text[length - 1 - place] = 1000;
            before != says(&alone(model, &text))
        };
        let reach = 2 * (WINDOW - 1);
        assert!(differs(&mut model, reach), "{architecture}");
        assert!(!differs(&mut model, reach + 1), "{architecture}");
    }
}

#[test]
fn the_state_of_a_block_is_what_the_next_one_reads() {
    for architecture in ARCHITECTURES {
        let mut model = model(architecture);
        assert_eq!(model.num_blocks(), 2);
        let tokens = rows(&[text(6), text(7)[1..].to_vec()]);
        let output = model.read(&Pass::new(&tokens).states(&[1, 0])).unwrap();
        let [last, first] = &output.states[..] else { panic!("{}", output.states.len()) };
        assert_eq!(first.dims(), [2, 6, HIDDEN]);
        assert_ne!(says(first), says(last));
        // The same in pieces.
        model.reset();
        model.forward(&tokens.narrow(1, 0, 4).unwrap(), 0).unwrap();
        let rest = tokens.narrow(1, 4, 2).unwrap();
        let pieces = model.read(&Pass::new(&rest).states(&[0])).unwrap();
        same(&pieces.states[0], &first.narrow(D::Minus2, 4, 2).unwrap());
    }
}

#[test]
fn what_cannot_be_read_is_refused_and_changes_nothing() {
    let mut model = model("llama");
    let token = rows(&[vec![5]]);
    alone(&mut model, &text(3));
    let expected = model.forward(&token, 3).unwrap();
    let mut refused = |pass: &Pass<'_>, part: &str| {
        alone(&mut model, &text(3));
        let error = model.read(pass).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        let again = model.forward(&token, 3).unwrap();
        assert_eq!(says(&again), says(&expected));
    };
    let two = rows(&[vec![5], vec![6]]);
    refused(&Pass::new(&two), "2 rows are to follow 1");
    refused(&Pass::new(&token).padding(&[1]), "row 0 has 1 columns of padding, of 1");
    refused(&Pass::new(&token).padding(&[0, 0]), "padding is given for 2 rows of 1");
    refused(&Pass::new(&token).states(&[2]), "no block 2; the model has 2");
    let long = rows(&[text(126)]);
    refused(&Pass::new(&long), "the text has 129 tokens, but the model reads at most 128");
    let none = Tensor::zeros((1, 0), candle_core::DType::U32, &Device::Cpu).unwrap();
    refused(&Pass::new(&none), "there are no tokens");

    alone(&mut model, &text(3));
    let error = model.forward(&token, 2).unwrap_err().to_string();
    assert!(error.contains("the offset is 2, but 3 tokens were read"), "{error}");
    let cache = model.cache().clone();
    assert!(cache.select(&[1]).unwrap_err().to_string().contains("no row 1"));
    let two = cache.spread(2).unwrap();
    assert!(two.spread(2).unwrap_err().to_string().contains("only one can be spread"));
}
