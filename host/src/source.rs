//! Lists pages of a bucket and opens a pinned body. It knows neither the ledger nor formats.
