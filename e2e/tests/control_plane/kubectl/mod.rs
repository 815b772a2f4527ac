//! Does kubectl feel native? Every line of the tables is run for the records of the server and for a
//! custom resource of the same schema, and has to print the same.

mod apply;
mod create;
mod delete;
mod describe;
mod discovery;
mod follow;
mod get;
mod matrix;
mod normalise;
mod server_side_apply;
mod update;
