//! The `residual` networks in a framework, and their training.

use std::ops::{ControlFlow, Range};

use burn::module::{Module, Param, ParamId};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{log_softmax, relu, sigmoid, tanh};
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use rand::Rng;

use super::passes::{Learner, Told};
use super::samples::Samples;
use crate::ptm::neural::Tensors;
use crate::ptm::neural::residual::{
    CHOICE_FEATURES, DROP_FEATURES, LATENESS_FEATURES, LEVELS, ResidualCard, SENT_FEATURES,
};
use crate::random::{Stream, stream, unit};

/// The source of initial weights.
struct Weights<'a> {
    from: From<'a>,
    ids: u64,
}

enum From<'a> {
    /// Drawn uniformly within the inverse square root of the number of inputs of a layer.
    Drawn(Box<Stream>),
    /// Given, with the right shapes.
    Known(&'a mut Tensors),
}

impl Weights<'_> {
    fn take(&mut self, name: &str, shape: &[usize], inputs: usize) -> Vec<f32> {
        match &mut self.from {
            From::Drawn(random) => {
                let most = (1.0 / inputs as f64).sqrt();
                let count = shape.iter().product();
                (0..count).map(|_| ((2.0 * unit(random) - 1.0) * most) as f32).collect()
            }
            From::Known(tensors) => {
                tensors.take(name, shape).expect("the checkpoint is of this architecture")
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }
}

/// A linear layer.
#[derive(Module, Debug)]
struct Linear {
    /// `[inputs, outputs]`
    weight: Param<Tensor<2>>,
    /// `[outputs]`
    bias: Param<Tensor<1>>,
}

impl Linear {
    /// Creates the layer `name` with weights from `source`.
    fn new(name: &str, inputs: usize, outputs: usize, source: &mut Weights<'_>, device: &Device) -> Self {
        let weight = source.take(&format!("{name}.weight"), &[inputs, outputs], inputs);
        let bias = source.take(&format!("{name}.bias"), &[outputs], inputs);
        let weight = Tensor::from_data(TensorData::new(weight, [inputs, outputs]), device);
        let bias = Tensor::from_data(TensorData::new(bias, [outputs]), device);
        // The optimizer identifies parameters by these numbers, also in a checkpoint.
        Linear {
            weight: Param::initialized(ParamId::from(source.next_id()), weight.require_grad()),
            bias: Param::initialized(ParamId::from(source.next_id()), bias.require_grad()),
        }
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

/// The values of a tensor.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("tensors hold 32-bit floats")
}

#[derive(Module, Debug)]
struct Perceptron {
    layers: Vec<Linear>,
}

impl Perceptron {
    fn new(
        name: &str,
        [inputs, hidden, outputs]: [usize; 3],
        source: &mut Weights<'_>,
        device: &Device,
    ) -> Self {
        let sizes = [[inputs, hidden], [hidden, hidden], [hidden, outputs]];
        let layers = sizes.iter().enumerate().map(|(index, [inputs, outputs])| {
            Linear::new(&format!("{name}.{}", index + 1), *inputs, *outputs, source, device)
        });
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

/// The trainable networks.
#[derive(Module, Debug)]
struct Networks {
    gru_input: Option<Linear>,
    gru_state: Option<Linear>,
    lateness: Perceptron,
    choice: Option<Perceptron>,
    drop: Option<Perceptron>,
}

impl Networks {
    fn new(card: &ResidualCard, classes: usize, from: From<'_>, device: &Device) -> Self {
        let (hidden, recurrent) = (card.hidden, card.recurrent);
        let carried = recurrent + card.contexts();
        let source = &mut Weights { from, ids: 0 };
        let mut gate =
            |name, inputs| (recurrent > 0).then(|| Linear::new(name, inputs, 3 * recurrent, source, device));
        let gru_input = gate("gru.input", SENT_FEATURES + classes);
        let gru_state = gate("gru.state", recurrent);
        let lateness = [LATENESS_FEATURES + classes + carried, hidden, LEVELS.len()];
        let lateness = Perceptron::new("lateness", lateness, source, device);
        let choice = [CHOICE_FEATURES * classes + carried, hidden, classes];
        let choice = (classes > 1).then(|| Perceptron::new("choice", choice, source, device));
        let drop = [DROP_FEATURES + classes, hidden, 1];
        let drop = card.limits.as_ref().map(|_| Perceptron::new("drop", drop, source, device));
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

    /// The recurrent states before each of `steps` packets `[steps x streams, recurrent]`, and after the last
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

/// How the data are divided into batches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Number of parallel streams.
    pub streams: usize,
    /// Packets per stream for truncated backpropagation through time.
    pub steps: usize,
}

/// Data of one part: the samples, their device, and the ranges used.
pub struct Part<'a> {
    /// The samples.
    pub samples: &'a Samples,
    /// The number of their device.
    pub context: usize,
    /// The ranges of sent and of arrived packets.
    pub ranges: (Range<usize>, Range<usize>),
}

/// The samples of a part in the order of training, as parallel streams.
struct Batches<'a> {
    parts: &'a [Part<'a>],
    /// Part and index of each packet sent.
    sent: Vec<(u32, u32)>,
    /// Part and index of each packet that arrived.
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
        // A stream shorter than the backpropagation length would be empty.
        let streams = plan.streams.min(sent.len() / (4 * plan.steps)).max(1);
        let steps = plan.steps.min(sent.len());
        Batches { parts, sent, arrived, streams, steps }
    }

    /// Number of batches.
    fn len(&self) -> usize {
        match self.steps {
            0 => 0,
            steps => self.sent.len() / self.streams / steps,
        }
    }

    /// The indexes of a batch, step by step, with all streams in each step.
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
    optimizer: ModuleOptimizer,
    card: &'a ResidualCard,
    classes: usize,
    seed: u64,
    device: Device,
    training: Batches<'a>,
    validation: Batches<'a>,
}

impl<'a> Training<'a> {
    /// Creates untrained networks with their training data.
    pub fn new(
        card: &'a ResidualCard,
        classes: usize,
        plan: &Plan,
        seed: u64,
        device: Device,
        [training, validation]: [&'a [Part<'a>]; 2],
    ) -> Self {
        let device = device.autodiff();
        let drawn = From::Drawn(Box::new(stream(seed, "learn", "residual")));
        let networks = Networks::new(card, classes, drawn, &device);
        let optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        let [training, validation] = [training, validation].map(|parts| Batches::new(parts, plan));
        Training { networks, optimizer, card, classes, seed, device, training, validation }
    }

    /// The mean loss of a batch, and the state after it.
    fn loss(
        &self,
        batches: &Batches<'_>,
        batch: usize,
        state: Tensor<2>,
        random: &mut Stream,
    ) -> (Tensor<1>, Tensor<2>) {
        let (networks, classes, device) = (&self.networks, self.classes, &self.device);
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
            // Cross entropy of the log-odds, without overflow.
            let cross = relu(odds.clone()) - odds.clone() * target + (odds.abs().neg().exp() + 1.0).log();
            loss = loss + cross.mean();
        }
        (loss, after)
    }

    fn start(&self, batches: &Batches<'_>) -> Tensor<2> {
        Tensor::zeros([batches.streams, self.card.recurrent.max(1)], &self.device)
    }
}

impl Learner for Training<'_> {
    fn pass(&mut self, number: u32, rate: f64, told: Told<'_>) -> ControlFlow<(), f64> {
        let mut random = stream(self.seed, "learn", &format!("epoch {number}"));
        let mut carried = self.start(&self.training);
        let mut sum = 0.0;
        for batch in 0..self.training.len() {
            let (loss, after) = self.loss(&self.training, batch, carried.detach(), &mut random);
            let gradients = GradientsParams::from_grads(loss.backward(), &self.networks);
            sum += f64::from(loss.into_scalar::<f32>());
            self.networks = self.optimizer.step(rate, self.networks.clone(), gradients);
            carried = after;
            told(batch + 1, self.training.len(), sum / (batch + 1) as f64)?;
        }
        ControlFlow::Continue(sum / self.training.len().max(1) as f64)
    }

    fn validate(&self) -> Option<f64> {
        let batches = &self.validation;
        let mut random = stream(self.seed, "learn", "validation");
        let mut state = self.start(batches);
        let mut sum = 0.0;
        for batch in 0..batches.len() {
            let (loss, after) = self.loss(batches, batch, state.detach(), &mut random);
            sum += f64::from(loss.into_scalar::<f32>());
            state = after;
        }
        (batches.len() > 0).then(|| sum / batches.len() as f64)
    }

    fn weights(&self) -> Tensors {
        self.networks.tensors()
    }

    fn optimizer(&self) -> Result<Vec<u8>, String> {
        self.optimizer.into_bytes().map(|bytes| bytes.to_vec()).map_err(|error| error.to_string())
    }

    fn restore(&mut self, _passes: u32, mut weights: Tensors, optimizer: Vec<u8>) -> Result<(), String> {
        self.networks = Networks::new(self.card, self.classes, From::Known(&mut weights), &self.device);
        let optimizer = self.optimizer.clone().from_bytes(Bytes::from_bytes_vec(optimizer));
        self.optimizer = optimizer.map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::LearnError;
    use crate::learn::passes::{Bookmark, Passes, Progress, train};
    use crate::ptm::neural::residual::{ClassShare, Context, Limits, Network, Pace, Ranges};

    fn card(limits: Option<Limits>, contexts: usize) -> ResidualCard {
        let share = ClassShare { share: 0.5, ..ClassShare::ALONE };
        let context = |number: usize| Context { name: number.to_string(), class: vec![share; 2] };
        ResidualCard {
            pace: Pace::Link,
            mean_length: 700.0,
            lateness_unit: 0.1,
            lateness_range: [-1e4, 1e4],
            hidden: 24,
            recurrent: 7,
            limits,
            context: (0..contexts).map(context).collect(),
        }
    }

    /// Compares the outputs of the framework and of inference on random weights and inputs.
    #[test]
    fn inference_equals_the_framework() {
        const CLASSES: usize = 2;
        const STEPS: usize = 40;
        let card = card(Some(Limits { port: 5_000.0, class: vec![3_000.0; 2] }), 3);
        let device = Device::flex().autodiff();
        let networks =
            Networks::new(&card, CLASSES, From::Drawn(Box::new(stream(7, "test", "weights"))), &device);
        let mut tensors = networks.tensors();
        let mut ranges = Ranges::new(CLASSES);
        for end in [-3.0, 3.0] {
            ranges.sent.see(&[end; SENT_FEATURES + CLASSES]);
            ranges.lateness.see(&[end; LATENESS_FEATURES + CLASSES]);
            ranges.choice.see(&[end; CHOICE_FEATURES * CLASSES]);
            ranges.drop.see(&[end; DROP_FEATURES + CLASSES]);
        }
        ranges.insert(CLASSES, &mut tensors);
        let network = Network::from_tensors(&card, CLASSES, tensors).unwrap();
        let mut random = stream(7, "test", "inputs");
        let mut inputs = |size: usize| -> Vec<f32> {
            (0..STEPS * size).map(|_| (6.0 * unit(&mut random) - 3.0) as f32).collect()
        };
        let sizes = [
            SENT_FEATURES + CLASSES,
            LATENESS_FEATURES + CLASSES,
            CHOICE_FEATURES * CLASSES,
            DROP_FEATURES + CLASSES,
        ];
        let [sent, lateness, choice, drop] = sizes.map(|size| (inputs(size), size));
        let tensor = |(values, size): &(Vec<f32>, usize)| {
            Tensor::<2>::from_data(TensorData::new(values.clone(), [STEPS, *size]), &device)
        };
        let (before, _) = networks.carry(tensor(&sent), Tensor::zeros([1, card.recurrent], &device), STEPS);
        let hot = [0.0f32, 1.0, 0.0];
        let context = Tensor::<1>::from_floats(hot, &device).unsqueeze::<2>().expand([STEPS, 3]);
        let with = |x: Tensor<2>| Tensor::cat(vec![x, before.clone().unwrap(), context.clone()], 1);
        let expected = [
            values(networks.lateness.forward(with(tensor(&lateness)))),
            values(networks.choice.as_ref().unwrap().forward(with(tensor(&choice)))),
            values(networks.drop.as_ref().unwrap().forward(tensor(&drop))),
        ];
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        let scratch = &mut network.scratch();
        let mut state = vec![0.0; card.recurrent];
        let row = |(values, size): &(Vec<f32>, usize), step: usize| values[step * size..][..*size].to_vec();
        for step in 0..STEPS {
            let (mut quantiles, mut scores) = ([0.0; LEVELS.len()], [0.0; CLASSES]);
            network.lateness(&row(&lateness, step), &state, &hot, scratch, &mut quantiles);
            network.choice(&row(&choice, step), &state, &hot, scratch, &mut scores);
            found[0].extend(quantiles);
            found[1].extend(scores);
            found[2].push(network.loss(&row(&drop, step), scratch));
            network.carry(&row(&sent, step), &mut state, scratch);
        }
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected.len(), found.len());
            for (expected, found) in expected.iter().zip(found) {
                assert!((expected - found).abs() < 1e-5, "{expected} {found}");
            }
        }
    }

    /// Samples of a rule that can be learned: the class with the larger first feature goes next, and is late
    /// by this feature.
    fn samples(count: usize) -> Samples {
        let mut random = stream(3, "test", "samples");
        let mut samples = Samples::default();
        for index in 0..count {
            let features: Vec<f32> = (0..CHOICE_FEATURES * 2).map(|_| unit(&mut random) as f32).collect();
            let late = features[0];
            samples.chosen.push(u16::from(features[CHOICE_FEATURES] > features[0]));
            samples.choice.extend(features);
            samples.waits.extend([true, true]);
            samples
                .lateness
                .extend((0..LATENESS_FEATURES + 2).map(|place| if place == 0 { late } else { 0.0 }));
            samples.late.push(late);
            samples.sent.extend([0.0; SENT_FEATURES + 2]);
            samples.packet.push(index);
        }
        samples
    }

    #[test]
    fn a_broken_training_goes_on_to_the_same_weights() {
        let card = card(None, 1);
        let data = samples(600);
        let part = |range: Range<usize>| [Part { samples: &data, context: 0, ranges: (range, 0..0) }];
        let plan = Plan { streams: 4, steps: 8 };
        let passes = Passes { most: 6, patience: 2, most_falls: 4, learning_rate: 3e-3 };
        let (training, validation) = (part(0..500), part(500..600));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.checkpoint");
        let run = |resume: bool, stop: u32| {
            let parts: [&[Part<'_>]; 2] = [&training, &validation];
            let mut training = Training::new(&card, 2, &plan, 5, Device::flex(), parts);
            let bookmark = Bookmark { path: &path, key: "key", resume };
            train(&mut training, &passes, Some(bookmark), |progress| match progress {
                Progress::Epoch(epoch) if epoch.number == stop => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        };
        let whole = run(false, 0).unwrap();
        assert!(whole.epochs.last().unwrap().loss < 0.8 * whole.epochs[0].loss);
        assert!(matches!(run(false, 3), Err(LearnError::Interrupted)));
        let resumed = run(true, 0).unwrap();
        assert_eq!(resumed.tensors, whole.tensors);
        assert_eq!(resumed.epochs, whole.epochs);
        assert_eq!(run(false, 0).unwrap().tensors, whole.tensors, "the same seed gives the same weights");
    }
}
