//! What a run writes: its tables, and the directory that holds them, complete or not at all.

mod directory;
mod flows;
mod packets;
mod ports;

pub use directory::{DirectoryError, RunDirectory};
pub use flows::FlowRecords;
pub use packets::{End, PacketRow, PacketRows};
pub use ports::{DropCount, PortRecords};
