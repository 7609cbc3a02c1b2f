//! The network in a framework with automatic differentiation.

use burn::module::{Module, Param, ParamId};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Bytes, Device, Tensor, TensorData};

use super::samples::Batch;
use crate::ptm::neural::Tensors;
use crate::ptm::neural::deepqueuenet::network::{HEAD, HEADS, LSTM, WINDOW, shapes};

/// A layer of long short-term memory; the gates are input, forget, cell, output.
#[derive(Module, Debug)]
struct Lstm {
    input: Param<Tensor<2>>,
    hidden: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Lstm {
    /// The state after each step `[WINDOW][windows, units]`.
    fn forward(&self, steps: Vec<Tensor<2>>) -> Vec<Tensor<2>> {
        let (input, hidden) = (self.input.val(), self.hidden.val());
        let bias = self.bias.val().unsqueeze::<2>();
        let units = hidden.dims()[0];
        let mut last: Option<(Tensor<2>, Tensor<2>)> = None;
        let mut states = Vec::with_capacity(steps.len());
        for step in steps {
            let mut gates = step.matmul(input.clone()) + bias.clone();
            if let Some((state, _)) = &last {
                gates = gates + state.clone().matmul(hidden.clone());
            }
            let gate = |index: usize| gates.clone().narrow(1, index * units, units);
            let added = sigmoid(gate(0)) * tanh(gate(2));
            let memory = match last {
                Some((_, memory)) => sigmoid(gate(1)) * memory + added,
                None => added,
            };
            let state = sigmoid(gate(3)) * tanh(memory.clone());
            states.push(state.clone());
            last = Some((state, memory));
        }
        states
    }
}

/// The hyperbolic tangent; this formula takes half the time of the back-end's own.
fn tanh(x: Tensor<2>) -> Tensor<2> {
    sigmoid(x * 2.0) * 2.0 - 1.0
}

#[derive(Module, Debug)]
struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze()
    }
}

#[derive(Module, Debug)]
struct Network {
    encoder: [Lstm; 2],
    decoder: [Lstm; 2],
    attention: Linear,
    attended: Linear,
    last: Linear,
}

impl Network {
    fn forward(&self, steps: Vec<Tensor<2>>) -> Tensor<2> {
        let [first, second] = &self.encoder;
        let states = second.forward(first.forward(steps));
        let windows = states[0].dims()[0];
        // [windows * WINDOW, units]
        let states = Tensor::stack::<3>(states, 1).reshape([windows * WINDOW, LSTM[1]]);
        let mixed = self.attend(states, windows);
        let mixed = self.attended.forward(mixed);
        let width = mixed.dims()[1];
        let mixed = mixed.reshape([windows, WINDOW, width]);
        let steps =
            (0..WINDOW).map(|step| mixed.clone().narrow(1, step, 1).reshape([windows, width])).collect();
        let [first, second] = &self.decoder;
        let mut states = second.forward(first.forward(steps));
        self.last.forward(states.pop().expect("a window has steps"))
    }

    /// Scaled dot-product attention.
    fn attend(&self, states: Tensor<2>, windows: usize) -> Tensor<2> {
        // Slices the weights, because they are small.
        let (weights, biases) =
            (self.attention.weight.val().split(HEAD, 1), self.attention.bias.val().split(HEAD, 0));
        let part = |which: usize, head: usize| {
            let index = which * HEADS + head;
            let part = states.clone().matmul(weights[index].clone()) + biases[index].clone().unsqueeze();
            part.reshape([windows, WINDOW, HEAD])
        };
        let head = |head: usize| {
            let scores = part(0, head).matmul(part(1, head).swap_dims(1, 2)) / (HEAD as f32).sqrt();
            softmax(scores, 2).matmul(part(2, head))
        };
        Tensor::cat((0..HEADS).map(head).collect(), 2).reshape([windows * WINDOW, HEADS * HEAD])
    }
}

/// A network with its optimizer.
pub struct Framework {
    network: Network,
    optimizer: ModuleOptimizer,
    device: Device,
    features: usize,
}

impl Framework {
    /// Creates the network from weights of the right names and shapes, before the first step.
    pub fn new(weights: Tensors, features: usize, device: Device) -> Self {
        let device = device.autodiff();
        let network = of_tensors(weights, features, &device);
        // Epsilon as in the paper on Adam and in the published training.
        let optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        Framework { network, optimizer, device, features }
    }

    /// Replaces the weights.
    pub fn set(&mut self, weights: Tensors) {
        self.network = of_tensors(weights, self.features, &self.device);
    }

    /// The serialized state of the optimizer.
    ///
    /// # Errors
    /// The error of the framework.
    pub fn optimizer(&self) -> Result<Vec<u8>, String> {
        self.optimizer.into_bytes().map(|bytes| bytes.to_vec()).map_err(|error| error.to_string())
    }

    /// Restores the state of the optimizer.
    ///
    /// # Errors
    /// The bytes are not the state of an optimizer.
    pub fn set_optimizer(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        let optimizer = self.optimizer.clone().from_bytes(Bytes::from_bytes_vec(bytes));
        self.optimizer = optimizer.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// One gradient step with this learning rate. Returns the loss before it.
    pub fn step(&mut self, batch: &Batch, rate: f64) -> f64 {
        let windows = batch.targets.len();
        let targets = TensorData::new(batch.targets.clone(), [windows, 1]);
        let targets = Tensor::<2>::from_data(targets, &self.device);
        let errors = self.network.forward(self.steps(batch, &self.device)) - targets;
        let loss = (errors.clone() * errors).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let loss: f32 = loss.into_scalar();
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        f64::from(loss)
    }

    /// Appends the outputs `[windows]` to `outputs`.
    pub fn predict(&self, batch: &Batch, outputs: &mut Vec<f32>) {
        let device = self.device.clone().inner();
        let predicted = self.network.valid().forward(self.steps(batch, &device));
        outputs.clear();
        outputs.extend_from_slice(predicted.into_data().as_slice().expect("32-bit floats"));
    }

    /// The current weights.
    pub fn weights(&self) -> Tensors {
        let network = self.network.valid();
        let mut values = Vec::new();
        let mut take = |data: TensorData| values.push(data.as_slice().expect("32-bit floats").to_vec());
        for lstm in network.encoder.iter().chain(&network.decoder) {
            take(lstm.input.val().into_data());
            take(lstm.hidden.val().into_data());
            take(lstm.bias.val().into_data());
        }
        for linear in [&network.attention, &network.attended, &network.last] {
            take(linear.weight.val().into_data());
            take(linear.bias.val().into_data());
        }
        let mut tensors = Tensors::default();
        for ((name, shape), values) in shapes(self.features).into_iter().zip(values) {
            tensors.insert(name, shape, values);
        }
        tensors
    }

    fn steps(&self, batch: &Batch, device: &Device) -> Vec<Tensor<2>> {
        let shape = [batch.targets.len(), self.features];
        let step = |values: &Vec<f32>| Tensor::from_data(TensorData::new(values.clone(), shape), device);
        batch.steps.iter().map(step).collect()
    }
}

/// Creates a network from arrays with the names and shapes of [`shapes`].
fn of_tensors(mut tensors: Tensors, features: usize, device: &Device) -> Network {
    let mut arrays = shapes(features).into_iter().zip(1..).map(|((name, shape), id)| {
        let values = tensors.take(&name, &shape).expect("weights of this network");
        (TensorData::new(values, shape), ParamId::from(id))
    });
    // The optimizer identifies parameters by these numbers, also in a checkpoint.
    let mut next = || arrays.next().expect("as many arrays as the network has");
    let mut lstm =
        || Lstm { input: param(next(), device), hidden: param(next(), device), bias: param(next(), device) };
    let (encoder, decoder) = ([lstm(), lstm()], [lstm(), lstm()]);
    let mut linear = || Linear { weight: param(next(), device), bias: param(next(), device) };
    let (attention, attended, last) = (linear(), linear(), linear());
    Network { encoder, decoder, attention, attended, last }
}

fn param<const D: usize>((data, id): (TensorData, ParamId), device: &Device) -> Param<Tensor<D>> {
    Param::initialized(id, Tensor::from_data(data, device).require_grad())
}
