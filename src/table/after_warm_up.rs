//! [`AfterWarmUp`]: tables with the duration of the warm-up in their metadata.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use super::TableError;
use super::tables::{TableSink, Tables};
use crate::units::Span;

/// Passes every table on, with the duration of the warm-up in its metadata: `warm_up_ps`.
pub(crate) struct AfterWarmUp<'a> {
    pub tables: &'a dyn Tables,
    pub warm_up: Span,
}

impl Tables for AfterWarmUp<'_> {
    fn begin(&self, name: &str, schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
        let mut metadata = schema.metadata.clone();
        metadata.insert("warm_up_ps".to_owned(), self.warm_up.as_ps().to_string());
        let schema = Arc::new(schema.as_ref().clone().with_metadata(metadata));
        Ok(Box::new(AfterWarmUpSink { sink: self.tables.begin(name, &schema)?, schema }))
    }
}

struct AfterWarmUpSink {
    sink: Box<dyn TableSink>,
    schema: Arc<Schema>,
}

impl TableSink for AfterWarmUpSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        // The schema has the same columns.
        match batch.clone().with_schema(Arc::clone(&self.schema)) {
            Ok(batch) => self.sink.write(&batch),
            Err(_) => self.sink.write(batch),
        }
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        self.sink.finish()
    }
}
