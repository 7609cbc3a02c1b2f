//! The output of a run: its tables, and the directory that holds them, written completely or not at all.

mod deepqueuenet;
mod directory;
mod flow_names;
mod flows;
mod held;
mod hops;
mod names;
mod packets;
mod ports;
mod queues;
mod requests;
mod transport;
mod vantages;

pub(crate) use deepqueuenet::seconds;
pub use deepqueuenet::{NETWORK, NetworkRow, NetworkRows, NetworkWriter};
pub(crate) use directory::TABLES;
pub use directory::{DirectoryError, RunDirectory};
pub use flow_names::FlowNames;
pub use flows::FlowRecords;
pub(crate) use flows::key_columns;
pub use held::Held;
pub use hops::HopRows;
pub use packets::PacketRows;
pub use ports::{DropCount, MarkCount, PortRecords};
pub use queues::{QueueLengths, TooManySamples};
pub use requests::write_requests;
pub use transport::TransportRows;
pub use vantages::{VantageError, VantageRecords};
