//! Columns of names: each name is stored once, with a number per row.

use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, DictionaryArray, StringArray, UInt32Array};
use arrow_schema::DataType;

use crate::packet::DropReason;
use crate::topology::Topology;

/// The names of a column.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<StringArray>);

impl Names {
    /// Creates the names, numbered in their order.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Names(Arc::new(StringArray::from_iter_values(names)))
    }

    /// The names of the devices, by [`DeviceId`](crate::topology::DeviceId).
    pub fn devices(topology: &Topology) -> Self {
        Names::new(topology.devices().map(|(_, device)| device.name.as_str()))
    }

    /// The reasons to drop, by [`DropReason::number`].
    pub fn reasons() -> Self {
        Names::new(DropReason::ALL.iter().map(|reason| reason.name()))
    }

    /// The type of the column.
    pub fn data_type() -> DataType {
        DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
    }

    /// The column with these numbers.
    pub fn column(&self, numbers: UInt32Array) -> ArrayRef {
        let names = Arc::clone(&self.0);
        Arc::new(DictionaryArray::<UInt32Type>::try_new(numbers, names).expect("every number has its name"))
    }
}
