//! A process that receives a byte stream.

use std::sync::Arc;

use crate::packet::FlowKey;
use crate::transport::tcp::Parameters;
use crate::transport::{Application, Process, Service};
use crate::units::Time;

/// Reads all available bytes at once, and closes at the end of the stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reader;

impl Application for Reader {
    fn run(&mut self, connection: &mut Process<'_, '_>) -> Option<Time> {
        while connection.read(u64::MAX) > 0 {}
        if connection.is_at_end() {
            connection.close();
        }
        None
    }
}

/// A service whose processes only read.
#[derive(Debug, Clone)]
pub struct ReaderService {
    parameters: Arc<Parameters>,
}

impl ReaderService {
    /// A service with these parameters.
    pub fn new(parameters: Parameters) -> Self {
        ReaderService { parameters: Arc::new(parameters) }
    }
}

impl Service for ReaderService {
    fn accept(&mut self, _asked: &FlowKey) -> Box<dyn Application> {
        Box::new(Reader)
    }

    fn parameters(&self) -> Arc<Parameters> {
        Arc::clone(&self.parameters)
    }
}
