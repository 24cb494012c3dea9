//! Every log line as a type: what happened, with its fields. No control flow.
