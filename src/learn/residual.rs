//! The `residual` networks in a framework, and their training.

use std::ops::{ControlFlow, Range};

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{log_softmax, relu, sigmoid, tanh};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::samples::Samples;
use crate::ptm::neural::Tensors;
use crate::ptm::neural::residual::{
    CHOICE_FEATURES, DROP_FEATURES, LATENESS_FEATURES, LEVELS, ResidualCard, SENT_FEATURES,
};
use crate::random::{Stream, stream, unit};

/// A linear layer.
#[derive(Module, Debug)]
struct Linear {
    /// `[inputs, outputs]`
    weight: Param<Tensor<2>>,
    /// `[outputs]`
    bias: Param<Tensor<1>>,
}

impl Linear {
    /// Weights and biases uniform within the inverse root of the inputs.
    fn new(inputs: usize, outputs: usize, random: &mut Stream, device: &Device) -> Self {
        let most = (1.0 / inputs as f64).sqrt();
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| ((2.0 * unit(random) - 1.0) * most) as f32).collect()
        };
        let weight = TensorData::new(draw(inputs * outputs), [inputs, outputs]);
        let bias = TensorData::new(draw(outputs), [outputs]);
        Linear { weight: Param::from_data(weight, device), bias: Param::from_data(bias, device) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }

    fn save(&self, name: &str, tensors: &mut Tensors) {
        let [inputs, outputs] = self.weight.val().dims();
        tensors.insert(format!("{name}.weight"), [inputs, outputs], values(self.weight.val()));
        tensors.insert(format!("{name}.bias"), [outputs], values(self.bias.val()));
    }
}

/// The numbers of a tensor.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("tensors hold 32-bit floats")
}

#[derive(Module, Debug)]
struct Perceptron {
    layers: Vec<Linear>,
}

impl Perceptron {
    fn new([inputs, hidden, outputs]: [usize; 3], random: &mut Stream, device: &Device) -> Self {
        let sizes = [[inputs, hidden], [hidden, hidden], [hidden, outputs]];
        let layers = sizes.iter().map(|[inputs, outputs]| Linear::new(*inputs, *outputs, random, device));
        Perceptron { layers: layers.collect() }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let a = relu(self.layers[0].forward(x));
        let b = relu(self.layers[1].forward(a));
        self.layers[2].forward(b)
    }

    fn save(&self, name: &str, tensors: &mut Tensors) {
        for (index, layer) in self.layers.iter().enumerate() {
            layer.save(&format!("{name}.{}", index + 1), tensors);
        }
    }
}

/// The trained part.
#[derive(Module, Debug)]
struct Networks {
    gru_input: Option<Linear>,
    gru_state: Option<Linear>,
    lateness: Perceptron,
    choice: Option<Perceptron>,
    drop: Option<Perceptron>,
}

impl Networks {
    fn new(card: &ResidualCard, classes: usize, seed: u64, device: &Device) -> Self {
        let (hidden, recurrent) = (card.hidden, card.recurrent);
        let carried = recurrent + card.contexts();
        let random = &mut stream(seed, "learn", "residual");
        let mut gate = |inputs| (recurrent > 0).then(|| Linear::new(inputs, 3 * recurrent, random, device));
        let (gru_input, gru_state) = (gate(SENT_FEATURES + classes), gate(recurrent));
        let lateness = [LATENESS_FEATURES + classes + carried, hidden, LEVELS.len()];
        let lateness = Perceptron::new(lateness, random, device);
        let choice = [CHOICE_FEATURES * classes + carried, hidden, classes];
        let choice = (classes > 1).then(|| Perceptron::new(choice, random, device));
        let drop = [DROP_FEATURES + classes, hidden, 1];
        let drop = card.limits.as_ref().map(|_| Perceptron::new(drop, random, device));
        Networks { gru_input, gru_state, lateness, choice, drop }
    }

    fn tensors(&self) -> Tensors {
        let mut tensors = Tensors::default();
        if let (Some(input), Some(state)) = (&self.gru_input, &self.gru_state) {
            input.save("gru.input", &mut tensors);
            state.save("gru.state", &mut tensors);
        }
        self.lateness.save("lateness", &mut tensors);
        if let Some(choice) = &self.choice {
            choice.save("choice", &mut tensors);
        }
        if let Some(drop) = &self.drop {
            drop.save("drop", &mut tensors);
        }
        tensors
    }

    /// The states before each of `steps` packets `[steps x streams, recurrent]`, and after the last
    /// `[streams, recurrent]`. `sent` is `[steps x streams, features]`.
    fn carry(&self, sent: Tensor<2>, state: Tensor<2>, steps: usize) -> (Option<Tensor<2>>, Tensor<2>) {
        let (Some(input), Some(hidden)) = (&self.gru_input, &self.gru_state) else { return (None, state) };
        let [streams, size] = state.dims();
        let inputs = input.forward(sent);
        let mut h = state;
        let mut before = Vec::with_capacity(steps);
        for step in 0..steps {
            before.push(h.clone());
            let x = inputs.clone().narrow(0, step * streams, streams);
            let y = hidden.forward(h.clone());
            let gates = sigmoid(x.clone().narrow(1, 0, 2 * size) + y.clone().narrow(1, 0, 2 * size));
            let reset = gates.clone().narrow(1, 0, size);
            let update = gates.narrow(1, size, size);
            let new = tanh(x.narrow(1, 2 * size, size) + reset * y.narrow(1, 2 * size, size));
            h = new.clone() + update * (h - new);
        }
        (Some(Tensor::cat(before, 0)), h)
    }
}

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Passes over the training data, at most.
    pub epochs: u32,
    /// Passes without a better loss on the validation part after which the rate falls, and after four falls the end.
    pub patience: u32,
    /// Streams side by side.
    pub streams: usize,
    /// Packets of each stream through which gradients go back.
    pub steps: usize,
    /// The first learning rate of Adam.
    pub learning_rate: f64,
}

/// The end of a pass over the training data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: u32,
    /// Mean loss on the training part.
    pub loss: f64,
    /// Mean loss on the validation part.
    pub validation_loss: f64,
    /// Whether that is the best so far.
    pub best: bool,
}

/// What came of a training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The weights with the least loss on the validation part.
    pub tensors: Tensors,
    /// Every pass.
    pub epochs: Vec<Epoch>,
}

/// Data of one part: samples, and the device that they are of, and which of them.
pub struct Part<'a> {
    /// The samples.
    pub samples: &'a Samples,
    /// The number of their device.
    pub context: usize,
    /// Which, of those sent and those that arrived.
    pub ranges: (Range<usize>, Range<usize>),
}

/// The samples of a part in the order of training: streams side by side.
struct Batches<'a> {
    parts: &'a [Part<'a>],
    /// Of each packet sent: its part and its number.
    sent: Vec<(u32, u32)>,
    /// The same of those that arrived.
    arrived: Vec<(u32, u32)>,
    streams: usize,
    steps: usize,
}

impl<'a> Batches<'a> {
    fn new(parts: &'a [Part<'a>], plan: &Plan) -> Self {
        let all = |of: fn(&Part<'_>) -> Range<usize>| -> Vec<(u32, u32)> {
            let numbers = parts.iter().enumerate();
            numbers.flat_map(|(part, data)| of(data).map(move |index| (part as u32, index as u32))).collect()
        };
        let sent = all(|part| part.ranges.0.clone());
        let arrived = all(|part| match part.samples.dropped.is_empty() {
            true => 0..0,
            false => part.ranges.1.clone(),
        });
        // A stream that is shorter than the steps through which gradients go would be none.
        let streams = plan.streams.min(sent.len() / (4 * plan.steps)).max(1);
        let steps = plan.steps.min(sent.len());
        Batches { parts, sent, arrived, streams, steps }
    }

    /// How many batches there are.
    fn len(&self) -> usize {
        match self.steps {
            0 => 0,
            steps => self.sent.len() / self.streams / steps,
        }
    }

    /// The numbers of a batch, step by step, in each all streams.
    fn numbers(&self, batch: usize) -> impl Iterator<Item = (&Part<'a>, usize)> {
        let length = self.sent.len() / self.streams;
        (0..self.steps).flat_map(move |step| {
            (0..self.streams).map(move |stream| {
                let (part, index) = self.sent[stream * length + batch * self.steps + step];
                (&self.parts[part as usize], index as usize)
            })
        })
    }

    fn rows(&self, batch: usize, size: usize, of: fn(&Samples) -> &[f32], device: &Device) -> Tensor<2> {
        let mut values = Vec::with_capacity(self.steps * self.streams * size);
        for (part, index) in self.numbers(batch) {
            values.extend_from_slice(&of(part.samples)[index * size..][..size]);
        }
        Tensor::from_data(TensorData::new(values, [self.steps * self.streams, size]), device)
    }
}

/// Networks in training.
pub struct Training<'a> {
    networks: Networks,
    card: &'a ResidualCard,
    classes: usize,
    plan: Plan,
    seed: u64,
    device: Device,
}

impl<'a> Training<'a> {
    /// Untrained networks.
    pub fn new(card: &'a ResidualCard, classes: usize, plan: Plan, seed: u64, device: Device) -> Self {
        let device = device.autodiff();
        let networks = Networks::new(card, classes, seed, &device);
        Training { networks, card, classes, plan, seed, device }
    }

    /// The mean loss of a batch, and the state after it.
    fn loss(
        &self,
        networks: &Networks,
        batches: &Batches<'_>,
        batch: usize,
        state: Tensor<2>,
        random: &mut Stream,
    ) -> (Tensor<1>, Tensor<2>) {
        let (classes, device) = (self.classes, &self.device);
        let rows = batches.steps * batches.streams;
        let sent = batches.rows(batch, SENT_FEATURES + classes, |samples| &samples.sent, device);
        let (before, after) = networks.carry(sent, state, batches.steps);
        let context = (self.card.contexts() > 0).then(|| {
            let mut hot = vec![0.0f32; rows * self.card.contexts()];
            for (row, (part, _)) in batches.numbers(batch).enumerate() {
                hot[row * self.card.contexts() + part.context] = 1.0;
            }
            Tensor::<2>::from_data(TensorData::new(hot, [rows, self.card.contexts()]), device)
        });
        let with = |x: Tensor<2>| {
            let all = [Some(x), before.clone(), context.clone()];
            Tensor::cat(all.into_iter().flatten().collect(), 1)
        };
        let x = batches.rows(batch, LATENESS_FEATURES + classes, |samples| &samples.lateness, device);
        let quantiles = networks.lateness.forward(with(x));
        let late = batches.rows(batch, 1, |samples| &samples.late, device);
        let levels = Tensor::<1>::from_floats(LEVELS, device).unsqueeze();
        // The quantile loss of Koenker and Bassett, 1978.
        let error = late.expand([rows, LEVELS.len()]) - quantiles;
        let mut loss = (error.clone() * levels - error.clamp_max(0.0)).mean();
        if let Some(choice) = &networks.choice {
            let x = batches.rows(batch, CHOICE_FEATURES * classes, |samples| &samples.choice, device);
            let mut shut = vec![0.0f32; rows * classes];
            let mut target = vec![0.0f32; rows * classes];
            let mut contested = 0.0f32;
            for (row, (part, index)) in batches.numbers(batch).enumerate() {
                let waits = &part.samples.waits[index * classes..][..classes];
                for (class, waits) in waits.iter().enumerate() {
                    shut[row * classes + class] = if *waits { 0.0 } else { -30.0 };
                }
                if waits.iter().filter(|waits| **waits).count() > 1 {
                    target[row * classes + usize::from(part.samples.chosen[index])] = 1.0;
                    contested += 1.0;
                }
            }
            let shape = [rows, classes];
            let shut = Tensor::<2>::from_data(TensorData::new(shut, shape), device);
            let target = Tensor::<2>::from_data(TensorData::new(target, shape), device);
            let odds = log_softmax(choice.forward(with(x)) + shut, 1);
            loss = loss - (odds * target).sum() / contested.max(1.0);
        }
        if let Some(drop) = &networks.drop
            && !batches.arrived.is_empty()
        {
            let size = DROP_FEATURES + classes;
            let (mut x, mut target) = (Vec::with_capacity(rows * size), Vec::with_capacity(rows));
            for _ in 0..rows {
                let (part, index) =
                    batches.arrived[(random.next_u64() % batches.arrived.len() as u64) as usize];
                let samples = batches.parts[part as usize].samples;
                x.extend_from_slice(&samples.drop[index as usize * size..][..size]);
                target.push(if samples.dropped[index as usize] { 1.0f32 } else { 0.0 });
            }
            let x = Tensor::<2>::from_data(TensorData::new(x, [rows, size]), device);
            let target = Tensor::<2>::from_data(TensorData::new(target, [rows, 1]), device);
            let odds = drop.forward(x);
            // Cross entropy of the log-odds, without running over.
            let cross = relu(odds.clone()) - odds.clone() * target + (odds.abs().neg().exp() + 1.0).log();
            loss = loss + cross.mean();
        }
        (loss, after)
    }

    fn start(&self, batches: &Batches<'_>) -> Tensor<2> {
        Tensor::zeros([batches.streams, self.card.recurrent.max(1)], &self.device)
    }

    /// The mean loss over all batches, without learning.
    fn measure(&self, networks: &Networks, batches: &Batches<'_>) -> f64 {
        let mut random = stream(self.seed, "learn", "validation");
        let mut state = self.start(batches);
        let mut sum = 0.0;
        for batch in 0..batches.len() {
            let (loss, after) = self.loss(networks, batches, batch, state.detach(), &mut random);
            sum += f64::from(loss.into_scalar::<f32>());
            state = after;
        }
        sum / batches.len().max(1) as f64
    }

    /// Trains until the validation loss no longer falls. `progress` is told of every pass, and may end it.
    pub fn run(
        mut self,
        training: &[Part<'_>],
        validation: &[Part<'_>],
        mut progress: impl FnMut(&Epoch) -> ControlFlow<()>,
    ) -> Trained {
        let batches = Batches::new(training, &self.plan);
        let held_out = Batches::new(validation, &self.plan);
        let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        let mut random = stream(self.seed, "learn", "order");
        let mut rate = self.plan.learning_rate;
        let mut best = (f64::INFINITY, self.networks.tensors());
        let (mut stale, mut falls) = (0, 0);
        let mut epochs = Vec::new();
        for number in 1..=self.plan.epochs {
            let mut state = self.start(&batches);
            let mut sum = 0.0;
            for batch in 0..batches.len() {
                let (loss, after) = self.loss(&self.networks, &batches, batch, state.detach(), &mut random);
                let gradients = GradientsParams::from_grads(loss.backward(), &self.networks);
                sum += f64::from(loss.into_scalar::<f32>());
                self.networks = optimizer.step(rate, self.networks, gradients);
                state = after;
            }
            let loss = sum / batches.len().max(1) as f64;
            let validation_loss =
                if held_out.len() == 0 { loss } else { self.measure(&self.networks, &held_out) };
            let better = validation_loss < best.0;
            if better {
                best = (validation_loss, self.networks.tensors());
                stale = 0;
            } else {
                stale += 1;
            }
            let epoch = Epoch { number, loss, validation_loss, best: better };
            epochs.push(epoch);
            if progress(&epoch).is_break() {
                break;
            }
            if stale >= self.plan.patience {
                (stale, falls, rate) = (0, falls + 1, rate / 3.0);
                if falls > 4 {
                    break;
                }
            }
        }
        Trained { tensors: best.1, epochs }
    }
}
