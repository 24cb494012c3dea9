//! Gristmill watches S3 buckets for CSV and Excel files and turns each new or changed one into account and
//! product-usage records, exactly once.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | connection | credentials, region and scope, named by its key |
//! | integration | one bucket and prefix on one connection and what to do with its files |
//! | tenant | whose integration it is |
//! | object | one version of one S3 key: bucket, key, ETag, size, last-modified |
//! | dedup key | `{connection}/{bucket}/{key}#etag={etag}` |
//! | pass | one poll of one integration, listing to ledger |
//! | ingestion | one object taken through fetch, decode, map, deliver, commit |
//! | table | the decoded rows of a CSV file or of one sheet, with its header |
//! | batch | some rows of a table, as columns |
//! | mapper | a component that maps batches; the built-in one or a plugin |
//! | account record, usage record | what the two transforms of a mapper produce |
//! | identifier | the values that say which account a record belongs to |
//! | destination | where records go |
//! | ledger | the durable record of what happened to each object |
//! | reject | a row that was refused, with line, column, value, code and message |
//! | origin | the object that a mended reject came from, and joins |
//!
//! # Invariants
//!
//! - **I1** An object is recorded complete only after each of its destinations confirmed the whole file.
//! - **I2** Identity is integration, dedup key and generation. A changed ETag is a new object.
//! - **I3** A crash may repeat work, never lose or double a record: a destination confirms an identity at most once, in
//!   the transaction or rename that makes its records visible. A webhook may see a batch again, under the same id.
//! - **I4** A ledger write error ends the process: a failed commit means *unknown*, not *absent*.
//! - **I5** A mapper receives rows and its own settings, nothing else.
//! - **I6** Memory is bounded per integration, whatever the file's size.
//! - **I7** The bucket is never written.
//! - **I8** A file is rejected or merged whole; a bad row is rejected alone.
//!
//! # Modules, in reading order
//!
//! | modules | what they are |
//! |---|---|
//! | [`object`], [`batch`] | what all the others speak of: identities, and rows as columns |
//! | [`pass`], [`ingest`] | the flow: from a listing to the ledger, and the way of one object |
//! | [`source`], [`spool`], [`decode`], [`mapper`], [`destination`], [`rejects`], [`ledger`] | its steps, in their order |
//! | [`retry`], [`oversight`], [`effort`], [`clock`] | failures, headway, processor time and the time of day |
//! | [`config`], [`secrets`], [`account_fields`] | what an operator writes, and what it refers to |
//! | [`daemon`], [`control`], [`worker`], [`events`], [`notify`], [`post`] | the process: what it starts, answers and tells |
//! | [`accounts`], [`users`], [`expectation`], [`renames`], [`reconcile`], [`backup`] | what is looked after beside the flow |
//! | [`dry_run`], [`shadow`], [`failed_call`], [`author`], [`proposal`], [`policy`] | what is tried and shown before it counts |
//! | [`cli`], [`replace`] | the commands, and the files that they change |

pub mod account_fields;
pub mod accounts;
mod append;
pub mod author;
pub mod backup;
pub mod batch;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod decode;
pub mod destination;
pub mod dry_run;
pub mod effort;
pub mod events;
pub mod expectation;
pub mod failed_call;
pub mod ingest;
pub mod ledger;
pub mod mapper;
pub mod notify;
pub mod object;
pub mod oversight;
mod panics;
pub mod pass;
pub mod policy;
pub mod post;
pub mod proposal;
pub mod reconcile;
pub mod rejects;
pub mod renames;
pub mod replace;
pub mod retry;
mod row_log;
pub mod secrets;
pub mod shadow;
#[cfg(test)]
mod simulation;
pub mod source;
pub mod spool;
pub mod users;
pub mod worker;
