//! Backoff and error classes: what is tried again, when, and what is left to a person. Pure; it does not know what is retried.
