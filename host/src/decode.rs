//! Bytes to tables and batches: CSV, xlsx, xls. It does not know where bytes come from.
