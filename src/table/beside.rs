//! [`Beside`]: writes tables in parallel with their producer.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::Schema;

use super::TableError;
use super::tables::{TableSink, Tables};

/// Maximum number of batches of a table that wait to be written.
const WAITING: usize = 2;

/// Passes every table on, each from its own thread.
pub(crate) struct Beside<'a>(pub &'a dyn Tables);

impl Tables for Beside<'_> {
    fn begin(&self, name: &str, schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
        let mut sink = self.0.begin(name, schema)?;
        let (send, receive) = sync_channel::<RecordBatch>(WAITING);
        let write = move || {
            // Ends with the sender, or with the first error.
            while let Ok(batch) = receive.recv() {
                sink.write(&batch)?;
            }
            Ok(sink)
        };
        Ok(Box::new(BesideSink { batches: Some(send), thread: Some(std::thread::spawn(write)) }))
    }
}

struct BesideSink {
    batches: Option<SyncSender<RecordBatch>>,
    /// Returns the sink once everything is written.
    thread: Option<JoinHandle<Result<Box<dyn TableSink>, TableError>>>,
}

impl BesideSink {
    /// Waits until everything is written. Propagates a panic of the thread.
    fn join(&mut self) -> Option<Result<Box<dyn TableSink>, TableError>> {
        self.batches = None;
        let written = self.thread.take()?.join();
        Some(written.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl TableSink for BesideSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch.clone()).is_ok());
        // A receiver that is gone has failed.
        if sent { Ok(()) } else { self.join().map_or(Ok(()), |failed| failed.map(drop)) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), TableError> {
        self.join().map_or(Ok(()), |written| written?.finish())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, UInt64Array};
    use arrow_schema::{DataType, Field};

    use super::*;
    use crate::table::MemoryTables;
    use crate::table::tables::OpenTable;

    fn write(tables: &dyn Tables) -> Result<(), TableError> {
        let schema = Schema::new(vec![Field::new("row", DataType::UInt64, false)]);
        let mut table = OpenTable::begin(&Beside(tables), "rows", schema)?;
        for row in 0..100 {
            table.write(vec![Arc::new(UInt64Array::from(vec![row])) as ArrayRef])?;
        }
        table.finish()
    }

    #[test]
    fn a_table_has_all_rows_in_order() {
        let tables = MemoryTables::default();
        write(&tables).unwrap();
        let table = &tables.take()["rows"];
        assert_eq!(table.rows(), 100);
        for (row, batch) in (0..).zip(&table.batches) {
            assert_eq!(**batch.column(0), UInt64Array::from(vec![row]));
        }
    }

    fn refused(why: &str) -> TableError {
        TableError::Io { path: "rows".into(), source: std::io::Error::other(why.to_owned()) }
    }

    /// Accepts this number of batches, then fails.
    struct Full(u32);

    impl Tables for Full {
        fn begin(&self, _name: &str, _schema: &Arc<Schema>) -> Result<Box<dyn TableSink>, TableError> {
            Ok(Box::new(Full(self.0)))
        }
    }

    impl TableSink for Full {
        fn write(&mut self, _batch: &RecordBatch) -> Result<(), TableError> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| refused("full"))?;
            Ok(())
        }

        fn finish(self: Box<Self>) -> Result<(), TableError> {
            if self.0 == 0 { Ok(()) } else { Err(refused("late")) }
        }
    }

    #[test]
    fn an_error_comes_back() {
        let told = |full: u32| write(&Full(full)).unwrap_err().to_string();
        assert!(told(10).contains("full") && told(99).contains("full") && told(101).contains("late"));
        write(&Full(100)).unwrap();
    }
}
