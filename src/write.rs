//! Files and directories that appear whole or not at all.
//!
//! Every result goes through here. It is written beside its place, as `.taunet-KERNEL-RANDOM.part` or `.dir`,
//! synchronized to the disk, and renamed; then the folder is synchronized too. A reader, also one after a
//! crash, finds the earlier result or the new one. What a dead process left behind is removed by the next one
//! that writes into the same folder ([`remove_left_overs`]); what a process leaves when it is asked to end is
//! removed by [`remove_unfinished`].
//!
//! A symbolic link is followed: its target is replaced, and the link stays. What is not a regular file, such
//! as `/dev/stdout`, a FIFO or a terminal, is written to, and never replaced.

mod directory;
mod file;
mod left_over;
mod part;
mod sync;
mod target;
mod unfinished;

pub use directory::NewDirectory;
pub use file::{NewFile, move_file};
pub use left_over::{remove_left_overs, take_recovered};
pub use target::{Target, TargetError};
pub use unfinished::remove_unfinished;
