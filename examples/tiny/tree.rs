//! A prompt and all of its answers as one tree of tokens, and many trees as one batch.
//!
//! The answers to a question share its prompt, and often a beginning of their own. Written as a
//! tree, each token is computed once, whichever answers run through it: its position is its depth,
//! and it attends to its ancestors alone, so a path down the tree is to the model an ordinary text.
//! A node then learns the whole distribution over the tokens that may follow it, in one step.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{Device, Tensor};

/// A prompt, its answers, and their shares.
pub struct Tree {
    nodes: Vec<Node>,
    /// The last token of the prompt: what the answers follow.
    root: usize,
    /// The share of the answers that go on from a node with a token.
    shares: BTreeMap<(usize, u32), f32>,
}

struct Node {
    token: u32,
    depth: usize,
    parent: Option<usize>,
}

impl Tree {
    /// The tree of a prompt, of at least one token, that has no answers yet.
    pub fn new(prompt: &[u32]) -> Self {
        let nodes = prompt.iter().enumerate().map(|(depth, &token)| Node {
            token,
            depth,
            parent: depth.checked_sub(1),
        });
        Self { nodes: nodes.collect(), root: prompt.len() - 1, shares: BTreeMap::new() }
    }

    /// Adds an answer that `share` of all answers give, and the `end` that follows it.
    pub fn insert(&mut self, answer: &[u32], end: u32, share: f32) {
        let mut node = self.root;
        for &token in answer {
            *self.shares.entry((node, token)).or_default() += share;
            node = self.child(node, token);
        }
        *self.shares.entry((node, end)).or_default() += share;
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    fn child(&mut self, parent: usize, token: u32) -> usize {
        let is_child = |node: &Node| node.parent == Some(parent) && node.token == token;
        self.nodes.iter().position(is_child).unwrap_or_else(|| {
            self.nodes.push(Node {
                token,
                depth: self.nodes[parent].depth + 1,
                parent: Some(parent),
            });
            self.nodes.len() - 1
        })
    }

    /// The way up from a node, itself included.
    fn ancestors(&self, node: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(node), |&node| self.nodes[node].parent)
    }

    /// The entropy of the answers, in nats: the loss that no model can go below.
    fn entropy(&self) -> f32 {
        let mut arrivals = BTreeMap::<usize, f32>::new();
        for (&(node, _), share) in &self.shares {
            *arrivals.entry(node).or_default() += share;
        }
        let nats =
            |(&(node, _), share): (&(usize, u32), &f32)| -share * (share / arrivals[&node]).ln();
        self.shares.iter().map(nats).sum()
    }
}

/// `B` trees of at most `S` nodes, of which `R` are followed by something.
pub struct Batch {
    /// `B`.
    pub size: usize,
    /// The tokens: `[B * S]`, u32.
    pub tokens: Tensor,
    /// Their depths: `[B * S]`, u32.
    pub depths: Tensor,
    /// 0 from a node to itself and its ancestors, else -inf: `[B, 1, S, S]`.
    pub mask: Tensor,
    /// The nodes that are followed by something, as indices into `B * S`: `[R]`, u32.
    pub followed: Tensor,
    /// The share of the answers that go on from such a node with a token: `[R, V]`.
    pub shares: Tensor,
    /// The mean entropy of a tree's answers.
    pub entropy: f32,
}

impl Batch {
    pub fn new(trees: &[Tree], pad: u32, vocab_size: usize, device: &Device) -> Result<Self> {
        let (b, s) = (trees.len(), trees.iter().map(|t| t.len()).max().unwrap_or(0));
        let mut tokens = vec![pad; b * s];
        let mut depths = vec![0; b * s];
        let mut mask = vec![f32::NEG_INFINITY; b * s * s];
        let mut followed = Vec::new();
        let mut shares = Vec::new();
        for (i, tree) in trees.iter().enumerate() {
            for (j, node) in tree.nodes.iter().enumerate() {
                tokens[i * s + j] = node.token;
                depths[i * s + j] = node.depth as u32;
                for ancestor in tree.ancestors(j) {
                    mask[(i * s + j) * s + ancestor] = 0.0;
                }
            }
            // Padding attends to itself: a row of nothing but -inf would make NaN of the gradient.
            for j in tree.nodes.len()..s {
                mask[(i * s + j) * s + j] = 0.0;
            }
            for (&(node, token), share) in &tree.shares {
                let row = (i * s + node) as u32;
                if followed.last() != Some(&row) {
                    followed.push(row);
                    shares.resize(followed.len() * vocab_size, 0.0);
                }
                shares[(followed.len() - 1) * vocab_size + token as usize] = *share;
            }
        }
        let r = followed.len();
        Ok(Self {
            size: b,
            tokens: Tensor::from_vec(tokens, b * s, device)?,
            depths: Tensor::from_vec(depths, b * s, device)?,
            mask: Tensor::from_vec(mask, (b, 1, s, s), device)?,
            followed: Tensor::from_vec(followed, r, device)?,
            shares: Tensor::from_vec(shares, (r, vocab_size), device)?,
            entropy: trees.iter().map(Tree::entropy).sum::<f32>() / b as f32,
        })
    }
}
