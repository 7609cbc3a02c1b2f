//! The network, evaluated on a window of packets.

use super::super::math::{exp, sigmoid, tanh};
use super::super::{ModelError, Tensors};
use crate::random;

/// Packets in a window.
pub const WINDOW: usize = 42;

/// Units of the two layers of encoder and decoder.
pub const LSTM: [usize; 2] = [200, 100];

/// Heads of the attention.
pub const HEADS: usize = 3;

/// Values of a query, a key and a value, per head.
pub const HEAD: usize = 64;

/// The outputs of the attention per packet.
pub const ATTENTION: usize = 32;

/// [`WINDOW`], rounded up to whole vectors of 8.
const PADDED: usize = WINDOW.next_multiple_of(8);

/// Outputs that are computed together, as many as fit the registers.
const TILE: usize = 16;

/// A linear layer like [`Linear`](super::super::math::Linear), for a whole window at a time. Outputs are
/// computed in tiles that stay in registers; the weights are stored in the order of that computation.
#[derive(Debug, Clone, PartialEq)]
struct Dense {
    /// `[outputs / TILE, inputs]`, padded with zeros.
    tiles: Vec<Vec<[f32; TILE]>>,
    /// `[outputs / TILE]`.
    bias: Vec<[f32; TILE]>,
    outputs: usize,
}

impl Dense {
    /// A layer with weights `[inputs, outputs]` and optional biases `[outputs]`.
    fn new(weight: &[f32], bias: Option<&[f32]>, outputs: usize) -> Self {
        let tile = |row: &[f32], first: usize| {
            let mut tile = [0.0; TILE];
            tile.iter_mut().zip(&row[first..]).for_each(|(tile, &weight)| *tile = weight);
            tile
        };
        let firsts = || (0..outputs).step_by(TILE);
        let rows = |first| weight.chunks_exact(outputs).map(|row| tile(row, first)).collect();
        let zeros = vec![0.0; outputs];
        let bias = firsts().map(|first| tile(bias.unwrap_or(&zeros), first)).collect();
        Dense { tiles: firsts().map(rows).collect(), bias, outputs }
    }

    /// The outputs `[rows, outputs]` for `x` `[rows, inputs]`: `y = x W + b`.
    fn forward(&self, x: &[f32], inputs: usize, y: &mut [f32]) {
        for (index, (tile, bias)) in self.tiles.iter().zip(&self.bias).enumerate() {
            let columns = index * TILE..((index + 1) * TILE).min(self.outputs);
            for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(self.outputs)) {
                let y = &mut y[columns.clone()];
                y.copy_from_slice(&sums(x, tile, *bias)[..y.len()]);
            }
        }
    }

    /// Adds `x W` to `y`, without the biases, for one row.
    fn add(&self, x: &[f32], y: &mut [f32]) {
        for (tile, y) in self.tiles.iter().zip(y.chunks_exact_mut(TILE)) {
            let y: &mut [f32; TILE] = y.try_into().expect("a chunk of this size");
            *y = sums(x, tile, *y);
        }
    }
}

/// `sums + x W`, in the order of the inputs.
#[inline(always)]
fn sums(x: &[f32], tile: &[[f32; TILE]], mut sums: [f32; TILE]) -> [f32; TILE] {
    for (&x, weights) in x.iter().zip(tile) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += x * weight;
        }
    }
    sums
}

/// A layer of long short-term memory; the gates are input, forget, cell and output.
#[derive(Debug, Clone, PartialEq)]
struct Lstm {
    input: Dense,
    hidden: Dense,
    inputs: usize,
    units: usize,
}

impl Lstm {
    fn take(tensors: &mut Tensors, name: &str, inputs: usize, units: usize) -> Result<Self, ModelError> {
        let gates = 4 * units;
        let input = tensors.take(&format!("{name}.input"), &[inputs, gates])?;
        let hidden = tensors.take(&format!("{name}.hidden"), &[units, gates])?;
        let bias = tensors.take(&format!("{name}.bias"), &[gates])?;
        Ok(Lstm {
            input: Dense::new(&input, Some(&bias), gates),
            hidden: Dense::new(&hidden, None, gates),
            inputs,
            units,
        })
    }

    /// Writes the states `[WINDOW, units]` for the inputs `[WINDOW, inputs]`.
    fn forward(&self, x: &[f32], gates: &mut [f32], states: &mut [f32]) {
        let gates = &mut gates[..WINDOW * 4 * self.units];
        self.input.forward(x, self.inputs, gates);
        self.run(gates, states);
    }

    /// The same from `gates` `[WINDOW, 4 units]`, the contributions of the inputs to the gates.
    fn run(&self, gates: &mut [f32], states: &mut [f32]) {
        let units = self.units;
        let mut cells = [0.0; LSTM[0]];
        let cells = &mut cells[..units];
        for (step, gates) in gates.chunks_exact_mut(4 * units).enumerate() {
            let (before, now) = states.split_at_mut(step * units);
            if step > 0 {
                self.hidden.add(&before[(step - 1) * units..], gates);
            }
            let (input, rest) = gates.split_at_mut(units);
            let (forget, rest) = rest.split_at_mut(units);
            let (cell, output) = rest.split_at_mut(units);
            input.iter_mut().for_each(|gate| *gate = sigmoid(*gate));
            forget.iter_mut().for_each(|gate| *gate = sigmoid(*gate));
            cell.iter_mut().for_each(|gate| *gate = tanh(*gate));
            output.iter_mut().for_each(|gate| *gate = sigmoid(*gate));
            for (((memory, forget), input), cell) in cells.iter_mut().zip(forget).zip(input).zip(cell) {
                *memory = *forget * *memory + *input * *cell;
            }
            for ((state, memory), output) in now.iter_mut().zip(&*cells).zip(output) {
                *state = *output * tanh(*memory);
            }
        }
    }
}

/// The weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    encoder: [Lstm; 2],
    /// Queries, keys and values, one after the other.
    attention: Dense,
    attended: Dense,
    decoder: [Lstm; 2],
    last: Dense,
}

/// The shapes of all arrays, by name, in the order of use.
///
/// # Source
/// DeepQueueNet (SIGCOMM 2022) as published: encoder and decoder of two LSTM layers each, with an attention
/// of three heads between them.
pub fn shapes(features: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    let mut lstm = |name: &str, inputs: usize, units: usize| {
        shapes.push((format!("{name}.input"), vec![inputs, 4 * units]));
        shapes.push((format!("{name}.hidden"), vec![units, 4 * units]));
        shapes.push((format!("{name}.bias"), vec![4 * units]));
    };
    lstm("encoder.0", features, LSTM[0]);
    lstm("encoder.1", LSTM[0], LSTM[1]);
    lstm("decoder.0", ATTENTION, LSTM[0]);
    lstm("decoder.1", LSTM[0], LSTM[1]);
    let mut linear = |name: &str, inputs: usize, outputs: usize| {
        shapes.push((format!("{name}.weight"), vec![inputs, outputs]));
        shapes.push((format!("{name}.bias"), vec![outputs]));
    };
    linear("attention", LSTM[1], 3 * HEADS * HEAD);
    linear("attended", HEADS * HEAD, ATTENTION);
    linear("last", LSTM[1], 1);
    shapes
}

/// The number of trained parameters.
pub fn parameters(features: usize) -> u64 {
    shapes(features).iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
}

/// Weights before training: uniform by Glorot and Bengio, each array from its own random stream; biases are
/// 0.
///
/// # Source
/// X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
/// 2010, Eq. 16. The publication starts with orthogonal matrices.
pub fn initial(features: usize, seed: u64) -> Tensors {
    let mut tensors = Tensors::default();
    for (name, shape) in shapes(features) {
        let values = match shape[..] {
            [inputs, outputs] => {
                let gates = if name.ends_with(".input") || name.ends_with(".hidden") { 4 } else { 1 };
                let most = (6.0 / (inputs + outputs / gates) as f64).sqrt();
                let mut random = random::stream(seed, "train", &name);
                (0..inputs * outputs)
                    .map(|_| ((2.0 * random::unit(&mut random) - 1.0) * most) as f32)
                    .collect()
            }
            _ => vec![0.0; shape.iter().product()],
        };
        tensors.insert(name, shape, values);
    }
    tensors
}

impl Weights {
    /// Takes the arrays of [`shapes`].
    ///
    /// # Errors
    /// An array is missing or has another shape.
    pub fn take(tensors: &mut Tensors, features: usize) -> Result<Self, ModelError> {
        let encoder = [
            Lstm::take(tensors, "encoder.0", features, LSTM[0])?,
            Lstm::take(tensors, "encoder.1", LSTM[0], LSTM[1])?,
        ];
        let decoder = [
            Lstm::take(tensors, "decoder.0", ATTENTION, LSTM[0])?,
            Lstm::take(tensors, "decoder.1", LSTM[0], LSTM[1])?,
        ];
        let mut linear = |name: &str, inputs: usize, outputs: usize| {
            let weight = tensors.take(&format!("{name}.weight"), &[inputs, outputs])?;
            let bias = tensors.take(&format!("{name}.bias"), &[outputs])?;
            Ok(Dense::new(&weight, Some(&bias), outputs))
        };
        let attention = linear("attention", LSTM[1], 3 * HEADS * HEAD)?;
        let attended = linear("attended", HEADS * HEAD, ATTENTION)?;
        let last = linear("last", LSTM[1], 1)?;
        Ok(Weights { encoder, attention, attended, decoder, last })
    }

    /// The number of features of a packet.
    pub fn features(&self) -> usize {
        self.encoder[0].inputs
    }

    /// The contribution of a packet's features `[features]` to the gates of the first layer `[GATES]`, which
    /// does not depend on the packet's place in a window.
    pub fn project(&self, features: &[f32], gates: &mut [f32]) {
        self.encoder[0].input.forward(features, features.len(), gates);
    }

    /// The output for a window of [projections](Self::project) `[WINDOW, GATES]` in `scratch.gates`.
    pub fn forward(&self, scratch: &mut Scratch) -> f32 {
        let Scratch { gates, wide, narrow, heads, mixed, keys } = scratch;
        self.encoder[0].run(gates, wide);
        self.encoder[1].forward(wide, gates, narrow);
        self.attention.forward(narrow, LSTM[1], heads);
        attend(heads, keys, mixed);
        let decoded = &mut narrow[..WINDOW * ATTENTION];
        self.attended.forward(mixed, HEADS * HEAD, decoded);
        self.decoder[0].forward(decoded, gates, wide);
        self.decoder[1].forward(wide, gates, narrow);
        let mut output = [0.0];
        self.last.forward(&narrow[(WINDOW - 1) * LSTM[1]..], LSTM[1], &mut output);
        output[0]
    }
}

/// The contribution of a packet to the first layer: values per packet.
pub const GATES: usize = 4 * LSTM[0];

/// Working memory for one window.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// `[WINDOW, GATES]`: the projections of a window.
    pub gates: Vec<f32>,
    wide: Vec<f32>,
    narrow: Vec<f32>,
    heads: Vec<f32>,
    mixed: Vec<f32>,
    keys: Vec<f32>,
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            gates: vec![0.0; WINDOW * GATES],
            wide: vec![0.0; WINDOW * LSTM[0]],
            narrow: vec![0.0; WINDOW * LSTM[1]],
            heads: vec![0.0; WINDOW * 3 * HEADS * HEAD],
            mixed: vec![0.0; WINDOW * HEADS * HEAD],
            keys: vec![0.0; HEAD * PADDED],
        }
    }
}

/// Scaled dot-product attention: from queries, keys and values `[WINDOW, 3, HEADS, HEAD]` to
/// `[WINDOW, HEADS, HEAD]`.
///
/// # Source
/// A. Vaswani et al., "Attention Is All You Need", 2017, Section 3.2.1.
fn attend(heads: &[f32], keys: &mut [f32], mixed: &mut [f32]) {
    const ROW: usize = 3 * HEADS * HEAD;
    let scale = 1.0 / (HEAD as f32).sqrt();
    for head in 0..HEADS {
        let part = |step: usize, which: usize| {
            let first = step * ROW + (which * HEADS + head) * HEAD;
            &heads[first..first + HEAD]
        };
        for step in 0..WINDOW {
            for (keys, &key) in keys.chunks_exact_mut(PADDED).zip(part(step, 1)) {
                keys[step] = key;
            }
        }
        for (step, mixed) in mixed.chunks_exact_mut(HEADS * HEAD).enumerate() {
            let mut scores = [0.0f32; PADDED];
            for (&query, keys) in part(step, 0).iter().zip(keys.chunks_exact(PADDED)) {
                for (score, key) in scores.iter_mut().zip(keys) {
                    *score += query * key;
                }
            }
            let scores = &mut scores[..WINDOW];
            let most = scores.iter().copied().fold(f32::MIN, f32::max);
            scores.iter_mut().for_each(|score| *score = exp((*score - most) * scale));
            let total: f32 = scores.iter().sum();
            let mut sums = [0.0f32; HEAD];
            for (other, score) in scores.iter().enumerate() {
                for (sum, value) in sums.iter_mut().zip(part(other, 2)) {
                    *sum += score * value;
                }
            }
            let mixed = &mut mixed[head * HEAD..(head + 1) * HEAD];
            mixed.iter_mut().zip(sums).for_each(|(mixed, sum)| *mixed = sum / total);
        }
    }
}
