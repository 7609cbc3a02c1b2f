//! The arithmetic of small networks, in 32-bit floats.
//!
//! Only additions, multiplications and divisions in a fixed order, which give the same bits on every machine.

use super::{ModelError, Tensors};

/// e^x, within 2 units in the last place; 0 or infinity outside the range of 32-bit floats.
///
/// # Source
/// Range reduction by powers of two and a polynomial of degree 6 on half an octave: W. J. Cody and W. Waite,
/// "Software Manual for the Elementary Functions", 1980.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    // Adding 1.5 * 2^23 rounds to the nearest integer, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    let scale = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    p * scale
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    2.0 / (1.0 + exp(-2.0 * x)) - 1.0
}

/// Outputs that are summed in parallel.
const BLOCK: usize = 16;

/// A linear layer `[inputs] -> [outputs]`: `y = x W + b`, with `W` `[inputs, outputs]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[inputs, outputs]`, row-major.
    weight: Vec<f32>,
    /// `[outputs]`.
    bias: Vec<f32>,
}

impl Linear {
    /// The layer `name` of a model: `name.weight` `[inputs, outputs]` and `name.bias` `[outputs]`.
    ///
    /// # Errors
    /// An array is missing or has another shape.
    pub fn take(
        tensors: &mut Tensors,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, ModelError> {
        let weight = tensors.take(&format!("{name}.weight"), &[inputs, outputs])?;
        Ok(Linear { weight, bias: tensors.take(&format!("{name}.bias"), &[outputs])? })
    }

    /// A layer with weights `[inputs, outputs]` and biases `[outputs]`.
    pub fn new(weight: Vec<f32>, bias: Vec<f32>) -> Self {
        debug_assert_eq!(weight.len() % bias.len(), 0);
        Linear { weight, bias }
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Writes the outputs for `x` `[inputs]` to `y` `[outputs]`.
    #[inline]
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        let outputs = self.bias.len();
        debug_assert_eq!((x.len(), y.len()), (self.inputs(), outputs));
        let whole = outputs - outputs % BLOCK;
        for block in (0..whole).step_by(BLOCK) {
            let mut sums: [f32; BLOCK] = self.bias[block..block + BLOCK].try_into().expect("a block");
            for (&x, row) in x.iter().zip(self.weight.chunks_exact(outputs)) {
                let row: &[f32; BLOCK] = row[block..block + BLOCK].try_into().expect("a block");
                for (sum, &weight) in sums.iter_mut().zip(row) {
                    *sum += x * weight;
                }
            }
            y[block..block + BLOCK].copy_from_slice(&sums);
        }
        let rest = y.iter_mut().zip(&self.bias).enumerate().skip(whole);
        for (output, (y, &bias)) in rest {
            let column = self.weight[output..].iter().step_by(outputs);
            *y = x.iter().zip(column).fold(bias, |sum, (&x, &weight)| sum + x * weight);
        }
    }
}

/// `max(x, 0)` in place.
#[inline]
pub fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_close_to_those_in_64_bits() {
        for step in -8_000..8_000 {
            let x = step as f32 / 100.0;
            let exact = libm::exp(x.into());
            assert!((f64::from(exp(x)) - exact).abs() <= 3e-7 * exact, "exp({x})");
            assert!((f64::from(tanh(x)) - libm::tanh(x.into())).abs() < 3e-7, "tanh({x})");
            let exact = 1.0 / (1.0 + libm::exp((-x).into()));
            assert!((f64::from(sigmoid(x)) - exact).abs() < 3e-7, "sigmoid({x})");
        }
        assert_eq!((tanh(f32::INFINITY), tanh(-1e30), sigmoid(1e30)), (1.0, -1.0, 1.0));
    }

    #[test]
    fn a_layer_multiplies_and_adds() {
        let layer = Linear::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], vec![0.5, -0.5]);
        let mut y = [0.0; 2];
        layer.forward(&[1.0, 0.0, -1.0], &mut y);
        assert_eq!(y, [1.0 - 5.0 + 0.5, 2.0 - 6.0 - 0.5]);
        assert_eq!((layer.inputs(), layer.outputs()), (3, 2));
    }
}
