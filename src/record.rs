//! What a run writes: its tables, its summary, and the directory that holds them, complete or not at all.

mod directory;
mod flows;
mod packets;
mod ports;
mod summary;

pub use directory::{DirectoryError, RunDirectory};
pub use flows::FlowRecords;
pub use packets::{End, PacketRow, PacketRows};
pub use ports::PortRecords;
pub use summary::{
    AcceptSummary, ByOrigin, DropCount, Input, MeasuredSummary, Meta, MissedBound, RelativeError, Summary,
};
