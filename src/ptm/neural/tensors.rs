//! The weights of a model: named arrays of 32-bit floats in a safetensors file.

use std::collections::BTreeMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::ModelError;
use crate::foreign::contain_result;

/// One array: its shape, and its values in row-major order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensor {
    /// The size of each dimension.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

/// Named arrays.
///
/// # Source
/// The safetensors format: <https://github.com/huggingface/safetensors>.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    /// The file is damaged, holds another type than 32-bit floats, or a value that is not finite.
    pub fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let file = contain_result(|| SafeTensors::deserialize(bytes)).map_err(ModelError::Damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(ModelError::Type { name: name.to_owned(), found: format!("{:?}", view.dtype()) });
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            if !values.iter().all(|value| value.is_finite()) {
                return Err(ModelError::NotFinite(name.to_owned()));
            }
            tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), values });
        }
        Ok(Tensors(tensors))
    }

    /// Encodes them as a safetensors file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let data: Vec<(&String, &Tensor, Vec<u8>)> = self
            .0
            .iter()
            .map(|(name, tensor)| {
                (name, tensor, tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
            })
            .collect();
        let views = data.iter().map(|(name, tensor, bytes)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
            (name, view.expect("four bytes per value"))
        });
        safetensors::serialize(views, None).expect("names are unique")
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        self.0.values().map(|tensor| tensor.values.len() as u64).sum()
    }

    /// Adds an array.
    pub fn insert(&mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>, values: Vec<f32>) {
        let shape = shape.into();
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        self.0.insert(name.into(), Tensor { shape, values });
    }

    /// Takes the array `name`, which must have the shape `shape`.
    ///
    /// # Errors
    /// The array is missing or has another shape.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.0.remove(name).ok_or_else(|| ModelError::Missing(name.to_owned()))?;
        if tensor.shape != shape {
            return Err(ModelError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: tensor.shape,
            });
        }
        Ok(tensor.values)
    }

    /// Checks that no array is left after all were taken.
    ///
    /// # Errors
    /// An array that is not part of the architecture.
    pub fn finish(self) -> Result<(), ModelError> {
        match self.0.into_keys().next() {
            Some(name) => Err(ModelError::Unknown(name)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut tensors = Tensors::default();
        tensors.insert("a", [2, 1], vec![1.0, -0.5]);
        tensors.insert("b", [1], vec![3.0]);
        let mut read = Tensors::read(&tensors.to_bytes()).unwrap();
        assert_eq!(read, tensors);
        assert_eq!(read.take("a", &[2, 1]).unwrap(), [1.0, -0.5]);
        assert!(matches!(read.clone().finish(), Err(ModelError::Unknown(name)) if name == "b"));
        assert!(matches!(read.take("b", &[2]), Err(ModelError::Shape { .. })));
        assert!(matches!(read.take("c", &[2]), Err(ModelError::Missing(_))));
    }

    #[test]
    fn damage_is_told() {
        let mut tensors = Tensors::default();
        tensors.insert("a", [2], vec![1.0, f32::NAN]);
        let bytes = tensors.to_bytes();
        assert!(matches!(Tensors::read(&bytes), Err(ModelError::NotFinite(_))));
        for length in 0..bytes.len() {
            assert!(Tensors::read(&bytes[..length]).is_err());
        }
    }
}
